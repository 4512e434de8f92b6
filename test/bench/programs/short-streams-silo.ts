import { Silo } from 'granary';
import { nats } from 'granary/nats';
import { Source } from './grains.ts';
import { serve, setting } from './session.ts';

const transport = nats({ servers: setting('NATS_URL') });
await Silo.start({ cluster: setting('CLUSTER'), grains: [Source], transport });
await serve();

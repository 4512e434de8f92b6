import { Silo } from 'granary';
import { nats } from 'granary/nats';
import { Counter, Source } from './grains.ts';
import { serve, setting } from './session.ts';

const transport = nats({ servers: setting('NATS_URL') });
const silo = await Silo.start({ cluster: setting('CLUSTER'), grains: [Counter, Source], transport });
let suspicions = 0;
silo.subscribe(() => suspicions++, ['siloSuspected', 'awayNoticed']);
await serve(() => ({ suspicions }));

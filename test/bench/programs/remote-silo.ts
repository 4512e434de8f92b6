import { Silo } from 'granary';
import { nats } from 'granary/nats';
import { Counter } from './grains.ts';
import { ready, setting } from './session.ts';

await Silo.start({ name: 'bench', grains: [Counter], transport: nats({ servers: setting('NATS_URL') }) });
ready();

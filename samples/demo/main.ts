import { EmbeddedStage } from './embedded.ts';
import { type DemoOptions, readOptions, USAGE } from './options.ts';
import { perform } from './perform.ts';
import { RemoteStage } from './remote.ts';

const code = await main(process.argv.slice(2));
// Whatever still waits for something must not keep a demo that has ended alive.
process.exit(code);

async function main(args: readonly string[]): Promise<number> {
  let options: DemoOptions | undefined;
  try {
    options = readOptions(args);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (!options) {
    console.log(USAGE);
    return 0;
  }
  try {
    const stage =
      options.servers === undefined ? await EmbeddedStage.start() : await RemoteStage.connect(options);
    const exitCode = await perform(stage, options, process.stdout);
    await stage.end();
    return exitCode;
  } catch (error) {
    console.error(`the demo could not be played to its end: ${(error as Error).message}`);
    return 1;
  }
}

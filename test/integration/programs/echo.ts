import { createInterface } from 'node:readline';

/** Greets, says back each line that it reads as JSON, and exits with the code it is told. */
console.log(`hello ${process.argv[2]} ${process.env.ECHO_COLOR}`);
for await (const line of createInterface({ input: process.stdin })) {
  const value = JSON.parse(line) as { exit?: number };
  if (value.exit !== undefined) process.exit(value.exit);
  console.log(`heard ${JSON.stringify(value)}`);
}

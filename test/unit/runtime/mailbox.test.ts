import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Mail, Mailbox, type Mode } from '../../../framework/runtime/mailbox.ts';

interface Letter extends Mail {
  readonly n: number;
}

const letter = (n: number, mode: Mode = 'exclusive'): Letter => ({ n, mode });

/** A mailbox as an activation uses it. */
class Desk {
  readonly mailbox: Mailbox<Letter>;
  readonly running: Letter[] = [];
  readonly started: number[] = [];

  constructor(limit = 1_000) {
    this.mailbox = new Mailbox(limit);
  }

  send(mail: Letter): void {
    if (this.mailbox.mayStart(mail)) this.#start(mail);
    else this.mailbox.push(mail);
  }

  end(mail: Letter): void {
    this.running.splice(this.running.indexOf(mail), 1);
    this.mailbox.ended(mail);
    this.pump();
  }

  pump(): void {
    for (let mail = this.mailbox.next(); mail; mail = this.mailbox.next()) this.#start(mail);
  }

  #start(mail: Letter): void {
    this.mailbox.started(mail);
    this.running.push(mail);
    this.started.push(mail.n);
  }
}

const modes = fc.constantFrom<Mode[]>('exclusive', 'readOnly', 'interleave');
const steps = fc.array(fc.oneof(modes, fc.nat({ max: 9 })), { maxLength: 200 });

describe('a mailbox', () => {
  test('keeps its rules whatever comes and ends in whatever order', () => {
    fc.assert(
      fc.property(steps, (plan) => {
        const desk = new Desk();
        const sent: Letter[] = [];
        for (const step of plan) {
          if (typeof step === 'string') {
            const mail = letter(sent.length, step);
            sent.push(mail);
            desk.send(mail);
          } else if (desk.running.length > 0) {
            desk.end(desk.running[step % desk.running.length] as Letter);
          }
          const exclusive = desk.running.filter(({ mode }) => mode === 'exclusive').length;
          const readOnly = desk.running.filter(({ mode }) => mode === 'readOnly').length;
          expect(exclusive <= 1 && (exclusive === 0 || readOnly === 0)).toBe(true);
          expect(desk.mailbox.running).toBe(desk.running.length);
          if (desk.running.length === 0) expect(desk.mailbox.waiting).toBe(0); // nothing is forgotten
        }
        while (desk.running.length > 0) desk.end(desk.running[0] as Letter);
        expect([...desk.started].sort((a, b) => a - b)).toEqual(sent.map(({ n }) => n));
        const inOrder = desk.started.filter((n) => sent[n]?.mode !== 'interleave');
        expect(inOrder).toEqual([...inOrder].sort((a, b) => a - b));
      }),
    );
  });

  test('runs interleaving calls at once, and those that had to wait before others', () => {
    const desk = new Desk();
    const first = letter(0);
    for (const mail of [first, letter(1), letter(2, 'interleave')]) desk.send(mail);
    expect(desk.started).toEqual([0, 2]);
    desk.mailbox.push(letter(3, 'interleave')); // came while nothing could start
    expect(desk.mailbox.next()?.n).toBe(3);
    desk.end(first);
    expect(desk.started).toEqual([0, 2, 1]);
  });

  test('gives an interleaving call out past others, and only one that fits', () => {
    const { mailbox } = new Desk();
    for (const mail of [letter(0), letter(1, 'interleave'), letter(2), letter(3, 'interleave')])
      mailbox.push(mail);
    expect(mailbox.nextOvertaking(({ n }) => n > 1)?.n).toBe(3);
    expect(mailbox.nextOvertaking(({ n }) => n > 1)).toBeUndefined();
    expect(mailbox.waiting).toBe(3);
    expect([mailbox.next()?.n, mailbox.next()?.n, mailbox.next()?.n, mailbox.next()]).toEqual([
      0,
      1,
      2,
      undefined,
    ]);
  });

  test('gives a call out past others if nothing that runs is in its way', () => {
    const desk = new Desk();
    const { mailbox } = desk;
    const readers = [letter(0, 'readOnly'), letter(1, 'readOnly')];
    desk.send(letter(9, 'interleave'));
    desk.send(readers[0] as Letter);
    for (const mail of [letter(2), letter(3), readers[1] as Letter]) mailbox.push(mail);
    expect(mailbox.nextOf(({ n }) => n === 3)).toBeUndefined();
    expect(mailbox.nextOf(({ n }) => n === 1)).toBe(readers[1]);
    mailbox.ended(readers[0] as Letter);
    expect(mailbox.nextOf(({ n }) => n === 3)?.n).toBe(3);
    expect([mailbox.waiting, mailbox.next()?.n, mailbox.next()]).toEqual([1, 2, undefined]);
  });

  test('gives back what waits, wherever it is, and nothing else', () => {
    const { mailbox } = new Desk();
    const letters = [letter(0), letter(1, 'interleave'), letter(2), letter(3, 'interleave')];
    for (const mail of letters) mailbox.push(mail);
    expect(mailbox.next()?.n).toBe(0);
    expect([mailbox.remove(letters[0] as Letter), mailbox.remove(letter(2))]).toEqual([false, false]);
    expect([mailbox.remove(letters[2] as Letter), mailbox.remove(letters[1] as Letter)]).toEqual([
      true,
      true,
    ]);
    mailbox.started(letters[0] as Letter);
    expect([mailbox.next()?.n, mailbox.waiting, mailbox.next()]).toEqual([3, 0, undefined]);
  });

  test('is full at its limit, counting only those that wait', () => {
    const desk = new Desk(2);
    const first = letter(0);
    for (const mail of [first, letter(1)]) desk.send(mail);
    expect(desk.mailbox.full).toBe(false);
    desk.send(letter(2));
    expect([desk.mailbox.full, desk.mailbox.waiting, desk.mailbox.running]).toEqual([true, 2, 1]);
    desk.end(first);
    expect(desk.mailbox.full).toBe(false);
  });

  test('gives everything away in order, and starts anew', () => {
    const desk = new Desk();
    for (let n = 0; n < 5; n++) desk.send(letter(n, n === 3 ? 'readOnly' : 'exclusive'));
    expect(desk.mailbox.takeAll().map(({ n }) => n)).toEqual([1, 2, 3, 4]);
    expect([desk.mailbox.waiting, desk.mailbox.next()]).toEqual([0, undefined]);
  });

  test('keeps the order of very many', () => {
    const desk = new Desk(10_000);
    const first = letter(-1);
    desk.send(first);
    for (let n = 0; n < 5_000; n++) desk.send(letter(n, 'readOnly'));
    desk.end(first);
    expect(desk.started.slice(1)).toEqual(Array.from({ length: 5_000 }, (_, n) => n));
    expect(desk.mailbox.find(({ n }) => n === 3)).toBeUndefined();
  });
});

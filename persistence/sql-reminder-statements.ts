import type { SqlStatement } from './sql-database.ts';
import { quoted } from './sql-schema.ts';

/**
 * The statements about reminders; those that change or read single ones do so for many at once, as in
 * `sql-statements.ts`.
 *
 * **Rows are not locked first.** A removal has no condition that a change in between would break, so it must
 * find the row as it is once its lock is had. A row that was locked in a part of the statement, and is looked
 * up again by its place, is one that the statement's snapshot does not show, and would not be removed. The
 * arrays come sorted and are gone through in order, so that two statements hardly ever wait for each other;
 * when they do, the database ends one, which is run again.
 *
 * **Advances are conditional**, never upserts: they name the registration and the tick that they move on
 * from. A row that was removed, registered anew or moved on meanwhile is not what they look for.
 *
 * **Names** come back as one text that begins with the type: PGlite drops a byte order mark at a text's
 * start, and a key may begin with one.
 */
export interface ReminderStatements {
  readonly set: SqlStatement;
  readonly remove: SqlStatement;
  readonly read: SqlStatement;
  readonly of: SqlStatement;
  readonly waking: SqlStatement;
  readonly advance: SqlStatement;
  readonly end: SqlStatement;
}

const COLUMNS = `r.type || '/' || r.key || E'\\n' || r.name AS id, r.hash, r.registration,
  r.due_at::text AS due_at, r.wake_at::text AS wake_at, r.failures, r.schedule`;
const SAME_NAMES = 'r.type = i.type AND r.key = i.key AND r.name = i.name';
const SAME_TICK = `${SAME_NAMES} AND r.registration = i.registration AND r.due_at = i.due_at`;
const LISTED = `string_agg(n::text, ' ') AS n`;

export function reminderStatements(schema: string): ReminderStatements {
  const reminders = `${quoted(schema)}.reminders`;
  return { ...settings(reminders), ...reads(reminders), ...advances(reminders) };
}

function settings(reminders: string): Pick<ReminderStatements, 'set' | 'remove'> {
  return {
    set: {
      name: 'granary_reminder_set',
      text: `INSERT INTO ${reminders} AS r
          (type, key, name, hash, registration, due_at, wake_at, failures, schedule)
        SELECT type, key, name, hash, registration, due_at, wake_at, failures, schedule
        FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::bigint[], $7::bigint[],
            $8::int[], $9::text[])
          WITH ORDINALITY
          AS i (type, key, name, hash, registration, due_at, wake_at, failures, schedule, n)
        ORDER BY n
        ON CONFLICT (type, key, name) DO UPDATE
        SET registration = excluded.registration, due_at = excluded.due_at, wake_at = excluded.wake_at,
          failures = excluded.failures, schedule = excluded.schedule, hash = excluded.hash`,
    },
    remove: {
      name: 'granary_reminder_remove',
      text: `WITH removed AS (
          DELETE FROM ${reminders} r
          USING unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS i (type, key, name, n)
          WHERE ${SAME_NAMES} RETURNING i.n)
        SELECT ${LISTED} FROM removed`,
    },
  };
}

function reads(reminders: string): Pick<ReminderStatements, 'read' | 'of' | 'waking'> {
  return {
    read: {
      name: 'granary_reminder_read',
      text: `SELECT i.n::int AS n, ${COLUMNS}
        FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS i (type, key, name, n)
        JOIN ${reminders} r ON ${SAME_NAMES}`,
    },
    of: {
      name: 'granary_reminders_of',
      text: `SELECT ${COLUMNS} FROM ${reminders} r WHERE r.type = $1::text AND r.key = $2::text`,
    },
    waking: {
      name: 'granary_reminders_waking',
      text: `SELECT ${COLUMNS} FROM ${reminders} r
        WHERE r.wake_at <= $1::bigint AND (r.wake_at, r.registration) > ($2::bigint, $3::text)
          AND get_bit($4::bytea, r.hash & $5::int) = 1
        ORDER BY r.wake_at, r.registration LIMIT $6::int`,
    },
  };
}

function advances(reminders: string): Pick<ReminderStatements, 'advance' | 'end'> {
  return {
    advance: {
      name: 'granary_reminder_advance',
      text: `WITH advanced AS (
          UPDATE ${reminders} r
          SET due_at = i.next_due, wake_at = i.next_wake, failures = i.next_failures
          FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
              $7::bigint[], $8::int[])
            WITH ORDINALITY
            AS i (type, key, name, registration, due_at, next_due, next_wake, next_failures, n)
          WHERE ${SAME_TICK} RETURNING i.n)
        SELECT ${LISTED} FROM advanced`,
    },
    end: {
      name: 'granary_reminder_end',
      text: `WITH ended AS (
          DELETE FROM ${reminders} r
          USING unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
            WITH ORDINALITY AS i (type, key, name, registration, due_at, n)
          WHERE ${SAME_TICK} RETURNING i.n)
        SELECT ${LISTED} FROM ended`,
    },
  };
}

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'vite';

/** A node of the syntax tree, as far as the walk needs to know it (ESTree, with TypeScript's nodes). */
interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

export interface Found {
  readonly line: number;
  readonly text: string;
}

export interface Import {
  readonly line: number;
  readonly specifier: string;
  /** Gone when the code runs. `import { type X }` is not: the import itself stays. */
  readonly typeOnly: boolean;
}

/** What the rules of style.md ask about one TypeScript file. */
export interface SourceFile {
  /** From the root of the repository, with slashes. */
  readonly path: string;
  readonly lines: readonly string[];
  readonly imports: readonly Import[];
  readonly comments: readonly Found[];
  /** Uses of a source of time or chance. */
  readonly chance: readonly Found[];
  /** Functions with their length in lines; but not the callbacks of `describe`, `test` and hooks. */
  readonly functions: readonly { readonly line: number; readonly length: number }[];
  readonly anyCasts: readonly Found[];
  /** `describe.only` and its like. */
  readonly focused: readonly Found[];
}

const CHANCE_NAMES = new Set([
  'setTimeout',
  'setInterval',
  'setImmediate',
  'MessageChannel',
  'randomUUID',
  'randomBytes',
  'randomInt',
  'getRandomValues',
]);
const CHANCE_MEMBERS = new Set([
  'Date.now',
  'performance.now',
  'Math.random',
  'process.nextTick',
  'process.hrtime',
  'AbortSignal.timeout',
]);
const CHANCE_MODULES = new Set(['node:timers', 'node:timers/promises', 'node:perf_hooks']);
const TEST_CALLS = /^(describe|test|it|bench|(before|after)(All|Each))\b/;

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Every TypeScript file in these folders of the repository, as far as they exist. */
export function sourceFiles(folders: readonly string[]): SourceFile[] {
  const present = folders.filter((folder) => existsSync(`${ROOT}${folder}`));
  return present.flatMap((folder) =>
    readdirSync(`${ROOT}${folder}`, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
      .sort()
      .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
      .map((path) => parseSource(path, readFileSync(`${ROOT}${path}`, 'utf8'))),
  );
}

export function parseSource(path: string, text: string): SourceFile {
  const { program, comments, errors } = parseSync(path, text);
  if (errors[0]) throw new Error(`${path}: ${errors[0].message}`);
  const reader = new Reader(text);
  reader.visit(program as unknown as Node, undefined, '');
  return {
    path,
    lines: text.split('\n'),
    comments: comments.map((comment) => ({ line: reader.lineAt(comment.start), text: comment.value })),
    ...reader,
  };
}

/** Walks the tree once and notes what the rules ask about. */
class Reader {
  readonly imports: Import[] = [];
  readonly chance: Found[] = [];
  readonly functions: { line: number; length: number }[] = [];
  readonly anyCasts: Found[] = [];
  readonly focused: Found[] = [];
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  lineAt(offset: number): number {
    return this.#text.slice(0, offset).split('\n').length;
  }

  visit(node: Node, parent: Node | undefined, role: string): void {
    this.#readImport(node);
    this.#readChance(node, parent, role);
    this.#readFunction(node, parent);
    if (node.type === 'TSAsExpression' && child(node, 'typeAnnotation')?.type === 'TSAnyKeyword') {
      this.anyCasts.push(this.#found(node));
    }
    if (
      node.type === 'MemberExpression' &&
      TEST_CALLS.test(this.#code(node)) &&
      isNamed(node.property, 'only')
    ) {
      this.focused.push(this.#found(node));
    }
    for (const [field, value] of Object.entries(node)) {
      for (const item of Array.isArray(value) ? value : [value]) {
        if (isNode(item)) this.visit(item, node, field);
      }
    }
  }

  #readImport(node: Node): void {
    const source = child(node, 'source');
    if (!source || typeof source.value !== 'string') return;
    const typeOnly = node.importKind === 'type' || node.exportKind === 'type' || node.type === 'TSImportType';
    this.imports.push({ line: this.lineAt(node.start), specifier: source.value, typeOnly });
    if (CHANCE_MODULES.has(source.value))
      this.chance.push({ line: this.lineAt(node.start), text: source.value });
  }

  #readChance(node: Node, parent: Node | undefined, role: string): void {
    const name = node.type === 'Identifier' ? String(node.name) : '';
    if (CHANCE_NAMES.has(name) && !isOwnName(parent, role)) this.chance.push(this.#found(node));
    if (node.type === 'MemberExpression') {
      const code = this.#code(node).replace(/^globalThis\./, '');
      if (CHANCE_MEMBERS.has(code)) this.chance.push({ line: this.lineAt(node.start), text: code });
    }
    const makesNow =
      node.type === 'NewExpression' && Array.isArray(node.arguments) && node.arguments.length === 0;
    const asksNow = node.type === 'CallExpression';
    if ((makesNow || asksNow) && isNamed(node.callee, 'Date')) this.chance.push(this.#found(node));
  }

  #readFunction(node: Node, parent: Node | undefined): void {
    if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)) return;
    const callee = parent && child(parent, 'callee');
    if (callee && TEST_CALLS.test(this.#code(callee))) return;
    const line = this.lineAt(node.start);
    this.functions.push({ line, length: this.lineAt(node.end) - line + 1 });
  }

  #found(node: Node): Found {
    return { line: this.lineAt(node.start), text: this.#code(node) };
  }

  #code(node: Node): string {
    return this.#text.slice(node.start, node.end);
  }
}

/**
 * Whether an identifier names something of the file's own: a key or a member, as in `clock.setTimeout` or `{
 * setTimeout: … }`.
 */
function isOwnName(parent: Node | undefined, role: string): boolean {
  if (!parent || parent.computed === true) return false;
  if (role === 'property') return !isNamed(parent.object, 'globalThis') && !isNamed(parent.object, 'crypto');
  return role === 'key' && parent.shorthand !== true;
}

function isNamed(node: unknown, name: string): boolean {
  return isNode(node) && node.type === 'Identifier' && node.name === name;
}

function child(node: Node, field: string): Node | undefined {
  const value = node[field];
  return isNode(value) ? value : undefined;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Node>).type === 'string';
}

/**
 * The API reference `docs/api.md`, generated from the declarations of `tsc`: all exports of
 * `dist/page/index.d.ts` with their documentation. As a script it writes the file.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'rolldown/utils';

const entry = new URL('../dist/page/index.d.ts', import.meta.url);
export const referenceFile = fileURLToPath(new URL('../docs/api.md', import.meta.url));

const PREFACE = `# API reference

Generated from the types by \`npm run docs --workspace @tandem-rec/client\`. To change it, edit the
comments in \`src\`, or those of the Rust types. For a start, read [the README](../README.md).
`;

/** The whole page. */
export function reference() {
  const symbols = exported(entry);
  const known = new Map(symbols.map((symbol) => [symbol.name, symbol]));
  const sections = SECTIONS.map(([title, belongs]) => {
    const members = symbols.filter(belongs);
    return [`## ${title}`, ...members.map((symbol) => described(symbol, known))].join('\n\n');
  });
  return `${[PREFACE.trim(), ...sections].join('\n\n')}\n`;
}

const isError = ({ name, node }) => node.type === 'ClassDeclaration' && name.endsWith('Error');
const isClass = ({ node }) => node.type === 'ClassDeclaration';
const isFunction = ({ node }) => node.type === 'TSDeclareFunction';
const SECTIONS = [
  ['Functions', isFunction],
  ['Classes', (symbol) => isClass(symbol) && !isError(symbol)],
  ['Types', (symbol) => !isClass(symbol) && !isFunction(symbol)],
  ['Errors', isError],
];

/** The exports of a module of re-exports, in its order, each with its declaration. */
function exported(file) {
  return parsed(file).program.body.flatMap((statement) => {
    if (statement.type !== 'ExportNamedDeclaration' || statement.source === null) {
      throw new Error(`${file.pathname}: expected re-exports by name, found ${statement.type}`);
    }
    const source = new URL(statement.source.value.replace(/\.js$/, '.d.ts'), file);
    return statement.specifiers.map(({ local }) => declared(source, local.name));
  });
}

function declared(file, name) {
  const { text, program, comments } = parsed(file);
  const statement = program.body.find(({ declaration }) => declaration?.id?.name === name);
  if (statement === undefined) throw new Error(`${file.pathname} does not declare ${name}`);
  return {
    name,
    text,
    comments,
    node: statement.declaration,
    doc: docOf(statement, text, comments),
  };
}

function parsed(file) {
  const text = readFileSync(file, 'utf8');
  const { program, comments, errors } = parseSync(fileURLToPath(file), text);
  if (errors.length > 0) throw new Error(`${file.pathname}: ${errors[0].message}`);
  return { text, program, comments };
}

/** The comment directly before `node`, without its asterisks. */
function docOf(node, text, comments) {
  const comment = comments.find(
    ({ end, value }) =>
      value.startsWith('*') && end <= node.start && text.slice(end, node.start).trim() === '',
  );
  if (comment === undefined) return '';
  return comment.value
    .slice(1)
    .split('\n')
    .map((line) => line.replace(/^\s*\*? ?/, '').trimEnd())
    .join('\n')
    .trim()
    .replace(/(?<=\S)\n(?=[^\n-])/g, ' ');
}

function described(symbol, known) {
  const { name, node, doc } = symbol;
  const parts = [`### \`${name}\``, linked(doc, known)];
  if (isClass(symbol)) {
    parts.push(...members(symbol).map((member) => method(member, known)));
  } else if (isObject(node)) {
    const bases = (node.extends ?? [])
      .map(({ expression }) => `{@link ${expression.name}}`)
      .join(', ');
    if (bases !== '') parts.push(linked(`All of ${bases}, and:`, known));
    parts.push(
      members(symbol)
        .map((member) => property(member, known))
        .join('\n'),
    );
  } else {
    parts.push(code(symbol.text.slice(node.start, node.end).replace(/^declare /, '')));
  }
  return parts.filter((part) => part !== '').join('\n\n');
}

/** An interface, or a type of object as the types generated from Rust are. */
const isObject = ({ type, typeAnnotation }) =>
  type === 'TSInterfaceDeclaration' || typeAnnotation?.type === 'TSTypeLiteral';

/** The public members of a class, an interface or a type of object. */
function members({ node, text, comments }) {
  const all = node.typeAnnotation?.members ?? node.body.body;
  return (
    all
      .filter(({ key, accessibility }) => accessibility !== 'private' && key.type === 'Identifier')
      .map((member) => ({
        signature: text.slice(member.start, member.end).replace(/[;,]$/, ''),
        name: `${member.static ? 'static ' : ''}${member.key.name}`,
        type: member.typeAnnotation
          ? text.slice(...span(member.typeAnnotation.typeAnnotation))
          : '',
        optional: member.optional === true,
        doc: docOf(member, text, comments),
      }))
      // A member without documentation implements one of the base class.
      .filter(({ doc }) => node.type !== 'ClassDeclaration' || (doc !== '' && !INTERNAL.test(doc)))
  );
}

const INTERNAL = /@internal\b/;
const span = ({ start, end }) => [start, end];

function method({ name, signature, doc }, known) {
  return [`#### \`${name}\``, code(signature), linked(doc, known)]
    .filter((part) => part !== '')
    .join('\n\n');
}

function property({ name, type, optional, doc, signature }, known) {
  const shown = type === '' ? `\`${oneLine(signature)}\`` : `\`${name}\`: \`${oneLine(type)}\``;
  const said = doc === '' ? '' : `. ${linked(oneLine(doc), known)}`;
  return `- ${shown}${optional ? ', optional' : ''}${said}`;
}

const oneLine = (text) => text.replace(/\s+/g, ' ');
const code = (text) => `\`\`\`ts\n${text.replace(/^ {4}/gm, '')}\n\`\`\``;

/** `{@link Name}` as a link, if this page has the name. */
function linked(doc, known) {
  return doc.replace(/\{@link ([\w.]+)\}/g, (_, target) => {
    const [name] = target.split('.');
    return known.has(name) ? `[\`${target}\`](#${name.toLowerCase()})` : `\`${target}\``;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(referenceFile, reference());

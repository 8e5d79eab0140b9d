/** What `tandem quickstart` prints about the files that it read. */
export interface ReadReport {
  /** Files, columns, times, first rows, and the dataset in numbers. */
  read: string;
  /** Rows that were read and not used, each line a reason with a number and an example. */
  leftOut: readonly string[];
  /** Columns that were not used, each line with the name of its file. */
  unused: readonly string[];
}

const FILE = /^(\S.*): .*, \d+ rows?$/;
const LEFT_OUT = 'left out:';
const UNUSED = '  not used: ';
/** The page lists the bad rows by itself. */
const BAD_ROWS = /^\d+ bad rows?, listed in /;

/** Separates what was not used from what was. */
export function readReport(text: string): ReadReport {
  const report = { read: [] as string[], leftOut: [] as string[], unused: [] as string[] };
  let file = '';
  let leavesOut = false;
  for (const line of text.split('\n')) {
    leavesOut = line === LEFT_OUT || (leavesOut && line.startsWith('  '));
    file = FILE.exec(line)?.[1] ?? file;
    if (line === LEFT_OUT || BAD_ROWS.test(line)) continue;
    if (leavesOut) report.leftOut.push(line.trim());
    else if (line.startsWith(UNUSED)) report.unused.push(`${file}: ${line.slice(UNUSED.length)}`);
    else report.read.push(line);
  }
  return { ...report, read: report.read.join('\n').trimEnd() };
}

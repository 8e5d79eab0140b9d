/** A row of a file in `docs/results`, as `tandem evaluate --json` writes it. */
export interface ResultRow {
  name: string;
  seed: number | null;
  hr10: number;
  ndcg10: number;
  calls: number | null;
  budget: number | null;
  command: string;
  part: string;
  history: string;
  refit: boolean;
  stratum?: string;
  learning?: boolean;
  search?: string;
  fusion?: { rule: string };
}

/** Mean and sample standard deviation over training seeds; `sd` is `null` for one seed. */
export interface Measured {
  mean: number;
  sd: number | null;
}

/** One system at one budget: the mean over all seeds. */
export interface Point {
  dataset: string;
  protocol: 'standard' | 'paper' | 'session';
  name: string;
  search: boolean;
  learning: boolean;
  budget: number | null;
  /** Calls per session or per user; `null` for systems that never call. */
  calls: number | null;
  ndcg10: Measured;
  hr10: Measured;
  seeds: number;
  /** The command of the first seed. */
  command: string;
}

/** Points of one file: test targets of all users, history removed from the rankings. */
export function summarise(file: string, rows: readonly ResultRow[]): Point[] {
  const match = /^(.+)-(standard|paper|session)(-search|-signals)?\.json$/.exec(file);
  if (match === null) throw new Error(`${file}: expected DATASET-PROTOCOL[-search|-signals].json`);
  const [, dataset = '', protocol] = match;
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    if (!isShown(row)) continue;
    const key = [row.name, row.budget, row.search ?? '', row.learning ?? ''].join(' ');
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map((group) => {
    const [first] = group as [ResultRow];
    const calls = group.flatMap(({ calls }) => calls ?? []);
    return {
      dataset,
      protocol: protocol as Point['protocol'],
      name: first.name,
      search: first.search === 'whole',
      learning: first.learning === true,
      budget: first.budget,
      calls: calls.length === 0 ? null : round(measured(calls).mean),
      ndcg10: measured(group.map(({ ndcg10 }) => ndcg10)),
      hr10: measured(group.map(({ hr10 }) => hr10)),
      seeds: group.length,
      command: first.command,
    };
  });
}

function isShown({ part, history, refit, stratum, fusion }: ResultRow): boolean {
  const rule = fusion?.rule ?? 'weighted';
  return (
    part === 'test' &&
    history === 'removed' &&
    !refit &&
    stratum === undefined &&
    rule === 'weighted'
  );
}

function measured(values: readonly number[]): Measured {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length < 2) return { mean: round(mean), sd: null };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean: round(mean), sd: round(Math.sqrt(squares / (values.length - 1))) };
}

function round(value: number): number {
  return Number(value.toFixed(5));
}

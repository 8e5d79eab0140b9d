/** The lists of a page, so that none repeats an item of another. */
export class Placements {
  readonly #shown = new Map<string, ReadonlySet<string>>();
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Selects the items of a placement, after the selections that were started before. `select`
   * gets the items that the other placements show.
   */
  fill<T extends { items: { item: string }[] }>(
    name: string,
    select: (others: ReadonlySet<string>) => Promise<T>,
  ): Promise<T> {
    const filled = this.#last.then(async () => {
      const selected = await select(this.#others(name));
      this.#shown.set(name, new Set(selected.items.map(({ item }) => item)));
      return selected;
    });
    this.#last = filled.catch(() => undefined);
    return filled;
  }

  /** The placement shows nothing any more. */
  release(name: string): void {
    this.#shown.delete(name);
  }

  #others(name: string): ReadonlySet<string> {
    const others = [...this.#shown].filter(([other]) => other !== name);
    return new Set(others.flatMap(([, items]) => [...items]));
  }
}

import { writeFileSync } from 'node:fs';

/** Assertions that are counted: one that fails does not keep the rest from being made. */
export class Findings {
  #passed = 0;
  #failed = [];

  /** Notes whether something holds; `detail` is said when it does not. Returns it. */
  that(name, holds, detail = '') {
    if (holds) {
      this.#passed += 1;
      console.error(`  ok      ${name}`);
    } else {
      this.#failed.push(name);
      console.error(`  FAILED  ${name}${detail === '' ? '' : `: ${detail}`}`);
    }
    return holds;
  }

  get allHold() {
    return this.#failed.length === 0;
  }

  /** For whoever adds up the tests of several runners. */
  write(file) {
    writeFileSync(file, JSON.stringify({ passed: this.#passed, failed: this.#failed }));
  }
}

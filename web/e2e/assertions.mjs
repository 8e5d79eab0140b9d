import { writeFileSync } from 'node:fs';

/** Collects assertion results; a failed assertion does not stop the following ones. */
export class Assertions {
  #passed = 0;
  #failed = [];

  /** Records a result and returns it; `detail` is printed on failure. */
  check(name, holds, detail = '') {
    if (holds) {
      this.#passed += 1;
      console.error(`  ok      ${name}`);
    } else {
      this.#failed.push(name);
      console.error(`  FAILED  ${name}${detail === '' ? '' : `: ${detail}`}`);
    }
    return holds;
  }

  get allPassed() {
    return this.#failed.length === 0;
  }

  /** Writes the counts for the summary of `cargo xtask`. */
  write(file) {
    writeFileSync(file, JSON.stringify({ passed: this.#passed, failed: this.#failed }));
  }
}

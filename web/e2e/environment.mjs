/** What `cargo xtask` tells these scripts by the environment. */
import { join } from 'node:path';

function needed(name) {
  const value = process.env[name];
  if (value === undefined || value === '') {
    throw new Error(`${name} is not set: run this by \`cargo xtask demo --check\` or \`test\``);
  }
  return value;
}

/** Address of the server under test, without a slash at its end. */
export const serverUrl = () => needed('TANDEM_URL');

/** Its process, for whoever wants to end it. */
export const serverPid = () => Number(needed('TANDEM_SERVER_PID'));

/** A file among the screenshots and reports of this run. */
export const evidence = (name) => join(needed('TANDEM_EVIDENCE'), name);

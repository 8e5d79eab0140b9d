/** Environment variables that `cargo xtask` sets for these scripts. */
import { join } from 'node:path';

function required(name) {
  const value = process.env[name];
  if (value === undefined || value === '') {
    throw new Error(
      `${name} is not set: run this script with \`cargo xtask demo --check\` or \`cargo xtask test\``,
    );
  }
  return value;
}

/** URL of the server under test, without a trailing slash. */
export const serverUrl = () => required('TANDEM_URL');

/** Process id of the server under test, for tests that end it. */
export const serverPid = () => Number(required('TANDEM_SERVER_PID'));

/** Folder of the built programs `tandem` and `cloud-server`. */
export const programs = () => required('TANDEM_PROGRAMS');

/** Folder of the built site. */
export const siteFolder = () => required('TANDEM_SITE');

/** Path of a screenshot or report of this run. */
export const outputFile = (name) => join(required('TANDEM_EVIDENCE'), name);

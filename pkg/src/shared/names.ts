/** Version of this package. */
export const VERSION = '0.1.0';
/** Names in the browser's storage, shared by page and worker. */
export const CACHE_NAME = 'tandem-files';
/** The database of personal data. */
export const DATABASE_NAME = 'tandem';
/** The channel between tabs. */
export const CHANNEL_NAME = 'tandem';

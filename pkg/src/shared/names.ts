/** Version of this package. */
export const VERSION = '0.1.0';
/** Name of the cache for files, shared by page and worker. */
export const CACHE_NAME = 'tandem-files';
/** Prefix of the database of personal data. */
export const DATABASE_NAME = 'tandem';
/** Prefix of the channel between tabs. */
export const CHANNEL_NAME = 'tandem';

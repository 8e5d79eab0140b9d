/** Version of this package. */
export const VERSION = '0.1.0';
/** Name of the cache for files, shared by page and worker. */
export const CACHE_NAME = 'tandem-files';
/** Prefix of the names of what is stored on the device, and of the channel between tabs. */
export const NAME_PREFIX = 'tandem';

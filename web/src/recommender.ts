import type { Recommender, Update } from '@tandem-rec/client';

/** The methods of a recommender that the shop uses. */
export type ShopRecommender = Pick<
  Recommender,
  | 'dispose'
  | 'explain'
  | 'exportPersonalData'
  | 'importPersonalData'
  | 'ledger'
  | 'models'
  | 'on'
  | 'reset'
  | 'setConsent'
  | 'setOffline'
  | 'similar'
  | 'state'
  | 'track'
  | 'undo'
  | 'useModel'
> & {
  recommend(): Promise<Update>;
};

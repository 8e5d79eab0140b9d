import { Injectable, type OnDestroy, signal } from '@angular/core';
import {
  createRecommender,
  type Decision,
  type RecommendedItem,
  type Recommender,
  TandemError,
} from '@tandem-rec/client';

/** The list of a page as signals. */
@Injectable()
export class Recommendations implements OnDestroy {
  readonly items = signal<RecommendedItem[]>([]);
  readonly decision = signal<Decision | null>(null);
  readonly error = signal<TandemError | null>(null);

  private recommender: Promise<Recommender> | null = null;

  /** Opens the recommender, and ranks again whenever something changes. */
  async open(server: string, k: number): Promise<void> {
    // The bundler of Angular does not follow workers of packages: `angular.json` copies the files.
    const folder = new URL('tandem/', document.baseURI);
    this.recommender = createRecommender({
      server,
      workerUrl: new URL('dist/tandem.worker.js', folder),
      wasmUrl: new URL('wasm/', folder),
    });
    await this.attempt(async (recommender) => {
      recommender.on('error', (error) => this.error.set(error));
      const rank = async (): Promise<void> => {
        const { items, decision } = await recommender.recommend({ k });
        this.items.set(items);
        this.decision.set(decision);
      };
      recommender.on('update', () => this.attempt(rank));
      await rank();
    });
  }

  async click(item: string): Promise<void> {
    await this.attempt((recommender) => recommender.track({ type: 'click', item }));
  }

  async ngOnDestroy(): Promise<void> {
    (await this.recommender?.catch(() => null))?.dispose();
  }

  private async attempt(action: (recommender: Recommender) => Promise<unknown>): Promise<void> {
    try {
      if (this.recommender !== null) await action(await this.recommender);
    } catch (error) {
      if (!(error instanceof TandemError)) throw error;
      this.error.set(error);
    }
  }
}

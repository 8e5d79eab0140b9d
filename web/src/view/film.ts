import type { DescribedExplanation, SimilarItem } from '@tandem-rec/client';
import type { Catalogue, Film } from '../catalogue.ts';
import { strongestReasons } from '../reasons.ts';
import type { ShopRecommender } from '../recommender.ts';
import type { ShopState } from '../shop.ts';
import { type CardActions, card, poster } from './card.ts';
import { closeButton, dialog } from './dialog.ts';
import { h, setText } from './dom.ts';

const SIMILAR = 6;

/** Actions of the page of a film. */
export interface FilmActions extends CardActions {
  /** The visitor has closed the page. */
  closed(): void;
}

/** The page of one film: why it is recommended, and similar films. */
export function filmPage(
  actions: FilmActions,
  recommender: () => Pick<ShopRecommender, 'explain' | 'similar'> | null,
): {
  element: HTMLElement;
  open(film: Film, catalogue: Catalogue): void;
  close(): void;
  render(state: ShopState): void;
} {
  const body = h('div', { class: 'film' });
  const element = dialog('film-page', 'film-title', body);
  /** `null` while the page is closed. */
  let opened: { film: Film; catalogue: Catalogue } | null = null;
  /** Whether the small model is there, and whether it has films to rank. */
  let ready = false;
  let ranks = false;
  /** The ranking that the open page shows. */
  let shown: ShopState['update'] = null;
  let lookUps = 0;
  let why = h('div');
  let wait = h('p');
  let similar = h('ul');
  let dislike = h('button');
  element.addEventListener('close', () => {
    if (opened === null) return;
    opened = null;
    actions.closed();
  });

  function act(action: (item: string) => void, item: string): void {
    element.close();
    action(item);
  }

  function open(film: Film, catalogue: Catalogue): void {
    opened = { film, catalogue };
    why = h('div', { class: 'film-why' });
    similar = h('ul', {
      class: 'grid similar',
      'data-testid': 'similar',
      'aria-label': 'Similar films',
    });
    wait = h('p', { class: 'quiet' }, 'Looking up similar films …');
    dislike = h(
      'button',
      {
        type: 'button',
        class: 'plain',
        disabled: !ready,
        onclick: () => act(actions.dislike, film.item),
      },
      'Not for me',
    );
    body.replaceChildren(
      h(
        'div',
        { class: 'film-head' },
        poster(film),
        h(
          'div',
          { class: 'film-facts' },
          closeButton(element),
          h('h2', { id: 'film-title' }, film.title),
          film.original === null ? null : h('p', { class: 'quiet' }, film.original),
          h('p', {}, [film.year, ...film.genres].filter(Boolean).join(' · ')),
          h(
            'div',
            { class: 'buttons' },
            h(
              'button',
              {
                type: 'button',
                class: 'primary',
                'data-testid': 'film-watch',
                onclick: () => act(actions.watch, film.item),
              },
              'Watch',
            ),
            dislike,
          ),
        ),
        why,
      ),
      h('h3', {}, 'Similar films'),
      wait,
      similar,
    );
    if (!element.open) element.showModal();
    element.scrollTop = 0;
    void lookUp(film, catalogue);
  }

  /** Asks the small model about the film. */
  async function lookUp(film: Film, catalogue: Catalogue): Promise<void> {
    lookUps += 1;
    const number = lookUps;
    const model = ready ? recommender() : null;
    if (model === null) {
      setText(wait, 'Similar films are shown as soon as the small model is here.');
      return;
    }
    const known = similar.childElementCount > 0;
    const [explanation, others] = await Promise.all([
      model.explain(film.item).catch(() => null),
      // A new list changes the reasons, not what is similar.
      known ? null : model.similar(film.item, { k: SIMILAR }).catch(() => null),
    ]);
    // Closed, or a newer look-up is under way.
    if (opened?.film !== film || number !== lookUps) return;
    why.replaceChildren(...(ranks ? reasonsOf(explanation, catalogue) : []));
    if (known) return;
    setText(wait, others === null ? 'This device does not have the data of this film yet.' : '');
    wait.hidden = others !== null;
    similar.replaceChildren(...cardsOf(others ?? [], catalogue, actions.openFilm));
  }

  return {
    element,
    open,
    close() {
      opened = null;
      element.close();
    },
    render({ phase, update }) {
      const readyBefore = ready;
      ready = phase === 'ready';
      ranks = ready && (update?.items.length ?? 0) > 0;
      dislike.disabled = !ready;
      // A film that is opened by its address may be there before the model and the first list.
      // A list may arrive while it is open: ranks and reasons follow.
      const more = ready && (!readyBefore || update !== shown);
      shown = update;
      if (more && opened !== null) void lookUp(opened.film, opened.catalogue);
    },
  };
}

/** Similar films; a click opens the page of that film. */
function cardsOf(
  others: readonly SimilarItem[],
  { films }: Catalogue,
  openFilm: (item: string) => void,
): HTMLElement[] {
  return others.flatMap(({ item }) => {
    const film = films.get(item);
    if (film === undefined) return [];
    return [card(film, { watch: openFilm, dislike: openFilm, openFilm }, 'similar-card')];
  });
}

/** Ranks in both orders, and the watched films that raise or lower the film. */
function reasonsOf(explanation: DescribedExplanation | null, { films }: Catalogue): HTMLElement[] {
  if (explanation === null) {
    return [h('p', { class: 'quiet' }, 'Not among the films that are ranked for you now.')];
  }
  const { item, rank, of, contributions } = explanation;
  const title = (watched: string): string => films.get(watched)?.title ?? watched;
  const reasons = strongestReasons(explanation);
  const largest = Math.max(...contributions.map(({ logit }) => Math.abs(logit)), 0.001);
  return [
    h(
      'p',
      { class: 'film-reason', 'data-testid': 'film-reason' },
      reasonSentence(reasons.map(title), contributions.length > 0),
    ),
    h(
      'p',
      { class: 'quiet' },
      `Rank ${rank + 1} of ${of}. Cloud: ${item.llmRank === null ? 'not on its list' : item.llmRank + 1}. ` +
        `Device: ${item.srmRank + 1}.`,
    ),
    h(
      'ul',
      { class: 'contributions', 'aria-label': 'Effect of the films that you watched' },
      ...contributions.slice(0, 6).map(({ item: watched, logit }) => {
        const bar = h('span', { class: 'bar', 'data-sign': logit < 0 ? 'down' : 'up' });
        bar.style.setProperty('--share', String(Math.abs(logit) / largest));
        return h(
          'li',
          {},
          h('span', { class: 'contribution-title' }, title(watched)),
          h('span', { class: 'bar-box', 'aria-hidden': 'true' }, bar),
          h('span', { class: 'quiet' }, `${logit > 0 ? '+' : '−'}${Math.abs(logit).toFixed(2)}`),
        );
      }),
    ),
  ];
}

/** Why a film is ranked, in one sentence. `watched`: whether the visitor has watched a film. */
export function reasonSentence(reasons: readonly string[], watched: boolean): string {
  if (!watched) return 'Popular. You have watched no film yet.';
  return reasons.length === 0
    ? 'No film that you watched raises this one above the others.'
    : `Because you watched ${reasons.join(' and ')}.`;
}

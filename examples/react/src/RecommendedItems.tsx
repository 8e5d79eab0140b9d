import { useRecommendations } from '@tandem-rec/client/react';

export function RecommendedItems() {
  const { items, decision, error, track } = useRecommendations({ k: 12 });
  return (
    <>
      <p role="status">{error?.message ?? decision?.reason ?? 'Loading …'}</p>
      <ol>
        {items.map(({ item, title }) => (
          <li key={item}>
            <button type="button" data-item={item} onClick={() => track({ type: 'click', item })}>
              {title ?? `Item ${item}`}
            </button>
          </li>
        ))}
      </ol>
    </>
  );
}

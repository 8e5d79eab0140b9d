import { createRecommender, type Recommender, type Update } from '@tandem-rec/client';
import { useEffect, useState } from 'react';

export function RecommendedItems({ server }: { server: string }) {
  const [recommender, setRecommender] = useState<Recommender>();
  const [update, setUpdate] = useState<Update>();
  const [failure, setFailure] = useState<string>();

  useEffect(() => {
    // Aborting also disposes of a recommender that is already open.
    const unmounted = new AbortController();
    const open = async () => {
      const opened = await createRecommender({ server, signal: unmounted.signal });
      opened.on('update', setUpdate);
      setRecommender(opened);
      setUpdate(await opened.recommend());
    };
    open().catch((error) => unmounted.signal.aborted || setFailure(error.message));
    return () => unmounted.abort();
  }, [server]);

  return (
    <>
      <p role="status">{failure ?? update?.decision.reason ?? 'Loading …'}</p>
      <ol>
        {update?.items.slice(0, 12).map(({ item }) => (
          <li key={item}>
            <button
              type="button"
              data-item={item}
              onClick={() => recommender?.track({ type: 'click', item })}
            >
              Item {item}
            </button>
          </li>
        ))}
      </ol>
    </>
  );
}

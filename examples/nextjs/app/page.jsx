import { RecommendedItems } from './RecommendedItems.jsx';

export default function Page() {
  const server = process.env.NEXT_PUBLIC_TANDEM_SERVER ?? 'http://127.0.0.1:8080';
  return (
    <main>
      <h1>For you</h1>
      <RecommendedItems server={server} />
    </main>
  );
}

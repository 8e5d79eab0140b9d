use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::job::{QueuedJob, WorkerError};
use crate::client::Client;

/// The bounded queue of a worker, shared fairly by its clients.
///
/// Clients take turns: the next job is the oldest one of the client that has waited longest for
/// its turn. If the queue is full, a client with fewer jobs takes the place of the newest job of
/// the client with the most jobs. So one client cannot keep others out, whatever it sends.
pub(super) struct JobQueue {
    state: Mutex<State>,
    ready: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    /// The clients with jobs, in the order of their turns. No client has an empty list.
    turns: VecDeque<Waiting>,
    jobs: usize,
    next_id: u64,
    is_closed: bool,
}

struct Waiting {
    client: Client,
    /// Oldest first.
    jobs: VecDeque<(u64, QueuedJob)>,
}

/// Why a job was not queued.
pub(super) enum PushError {
    /// Every place is taken.
    Full,
    /// The queue is closed.
    Closed,
}

impl JobQueue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), ready: Condvar::new(), capacity }
    }

    /// Number of waiting jobs.
    pub(super) fn len(&self) -> usize {
        self.lock().jobs
    }

    /// Adds a job and returns its id. `full` is the error of a job that loses its place to it.
    pub(super) fn push(
        &self,
        client: Client,
        job: QueuedJob,
        full: WorkerError,
    ) -> Result<u64, PushError> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(PushError::Closed);
        }
        let own = state.turns.iter().position(|waiting| waiting.client == client);
        if state.jobs >= self.capacity {
            let held = own.map_or(0, |at| state.turns[at].jobs.len());
            let busiest = state.turns.iter_mut().max_by_key(|waiting| waiting.jobs.len());
            // With one job more than this client there would be an exchange without a gain.
            let Some(busiest) = busiest.filter(|busiest| busiest.jobs.len() > held + 1) else {
                return Err(PushError::Full);
            };
            if let Some((_, displaced)) = busiest.jobs.pop_back() {
                // Fails if its client has gone.
                let _ = displaced.reply.send(Err(full));
                state.jobs -= 1;
            }
        }
        let id = state.next_id;
        state.next_id += 1;
        state.jobs += 1;
        match own {
            Some(at) => state.turns[at].jobs.push_back((id, job)),
            None => state.turns.push_back(Waiting { client, jobs: [(id, job)].into() }),
        }
        drop(state);
        self.ready.notify_one();
        Ok(id)
    }

    /// Removes a job whose client has gone, so that its place is free at once.
    pub(super) fn remove(&self, client: Client, id: u64) {
        let mut state = self.lock();
        let Some(at) = state.turns.iter().position(|waiting| waiting.client == client) else {
            return;
        };
        let jobs = &mut state.turns[at].jobs;
        let before = jobs.len();
        jobs.retain(|(queued, _)| *queued != id);
        let removed = before - jobs.len();
        if jobs.is_empty() {
            state.turns.remove(at);
        }
        state.jobs -= removed;
    }

    /// Waits for jobs and takes as many as `size` says for the number of waiting ones; `None` when
    /// the queue is closed and empty.
    pub(super) fn take(&self, size: impl Fn(usize) -> usize) -> Option<Vec<QueuedJob>> {
        let state = self.lock();
        let mut state = self
            .ready
            .wait_while(state, |state| state.jobs == 0 && !state.is_closed)
            .unwrap_or_else(PoisonError::into_inner);
        let size = size(state.jobs);
        let mut batch = Vec::new();
        while batch.len() < size
            && let Some(mut next) = state.turns.pop_front()
        {
            if let Some((_, job)) = next.jobs.pop_front() {
                batch.push(job);
                state.jobs -= 1;
            }
            if !next.jobs.is_empty() {
                state.turns.push_back(next);
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Accepts no more jobs.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.ready.notify_all();
    }

    /// Answers all waiting jobs with an error and accepts no more.
    pub(super) fn refuse_all(&self, error: WorkerError) {
        let mut state = self.lock();
        state.is_closed = true;
        state.jobs = 0;
        for (_, job) in state.turns.drain(..).flat_map(|waiting| waiting.jobs) {
            let _ = job.reply.send(Err(error));
        }
        drop(state);
        self.ready.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Instant};

    use proptest::prelude::*;
    use tokio::sync::oneshot::{self, Receiver};

    use super::*;
    use crate::worker::{Job, JobOutput};

    const FULL: WorkerError = WorkerError::Full { retry_after_s: 1 };

    type Reply = Receiver<Result<JobOutput, WorkerError>>;

    fn client(number: u8) -> Client {
        Client::of(IpAddr::from([192, 0, 2, number]))
    }

    /// A job that asks for `k` candidates, by which the tests recognise it.
    fn job(k: usize) -> (QueuedJob, Reply) {
        let (reply, output) = oneshot::channel();
        let (history, exclude) = (Vec::new(), Vec::new());
        let job = Job { history, exclude, only: None, added: None, k, explain: false };
        let now = Instant::now();
        (QueuedJob { job, queued: now, deadline: now, reply }, output)
    }

    fn push(queue: &JobQueue, number: u8, k: usize) -> Option<(u64, Reply)> {
        let (job, reply) = job(k);
        Some((queue.push(client(number), job, FULL).ok()?, reply))
    }

    fn taken(queue: &JobQueue, max: usize) -> Vec<usize> {
        queue.take(|_| max).unwrap().iter().map(|queued| queued.job.k).collect()
    }

    #[test]
    fn clients_take_turns() {
        let queue = JobQueue::new(9);
        for k in 10..14 {
            push(&queue, 1, k).unwrap();
        }
        push(&queue, 2, 20).unwrap();
        push(&queue, 3, 30).unwrap();
        push(&queue, 2, 21).unwrap();
        assert_eq!(taken(&queue, 4), [10, 20, 30, 11]);
        assert_eq!(taken(&queue, 9), [21, 12, 13]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_full_queue_makes_room_for_a_client_with_fewer_jobs() {
        let queue = JobQueue::new(4);
        let mut first: Vec<_> = (10..14).map(|k| push(&queue, 1, k).unwrap()).collect();
        assert!(push(&queue, 1, 14).is_none(), "its own jobs fill the queue");
        let _second = push(&queue, 2, 20).unwrap();
        let (_, mut displaced) = first.pop().unwrap();
        assert_eq!(displaced.try_recv().unwrap().unwrap_err(), FULL);
        let _third = push(&queue, 2, 21).unwrap();
        // Now both have two.
        assert!(push(&queue, 2, 22).is_none());
        assert!(push(&queue, 1, 15).is_none());
        assert_eq!(taken(&queue, 9), [10, 20, 11, 21]);
    }

    #[test]
    fn the_place_of_a_removed_job_is_free() {
        let queue = JobQueue::new(1);
        let (id, _reply) = push(&queue, 1, 10).unwrap();
        assert!(push(&queue, 2, 20).is_none());
        queue.remove(client(2), id);
        assert_eq!(queue.len(), 1, "another client's job was removed");
        queue.remove(client(1), id);
        assert_eq!(queue.len(), 0);
        let _reply = push(&queue, 2, 20).unwrap();
        queue.remove(client(1), id);
        assert_eq!(taken(&queue, 9), [20]);
    }

    #[test]
    fn a_closed_queue_is_emptied_and_ends() {
        let queue = JobQueue::new(2);
        let _reply = push(&queue, 1, 10).unwrap();
        queue.close();
        assert!(push(&queue, 1, 11).is_none());
        assert_eq!(taken(&queue, 9), [10]);
        assert!(queue.take(|_| 9).is_none());

        let queue = JobQueue::new(2);
        let (_, mut reply) = push(&queue, 1, 10).unwrap();
        queue.refuse_all(WorkerError::Stopping);
        assert_eq!(reply.try_recv().unwrap().unwrap_err(), WorkerError::Stopping);
        assert!(queue.take(|_| 9).is_none());
    }

    proptest! {
        #[test]
        fn no_job_is_lost_and_no_client_waits_behind_two_of_another(
            clients in prop::collection::vec(1u8..5, 1..40),
        ) {
            let queue = JobQueue::new(12);
            let mut replies = Vec::new();
            let mut refused = 0;
            for (k, number) in clients.iter().enumerate() {
                match push(&queue, *number, k) {
                    Some((_, reply)) => replies.push(reply),
                    None => refused += 1,
                }
            }
            let displaced =
                replies.iter_mut().filter_map(|reply| reply.try_recv().ok()).count();
            let queued = queue.len();
            prop_assert!(queued <= 12);
            prop_assert_eq!(queued + refused + displaced, clients.len());
            let order = taken(&queue, 100);
            prop_assert_eq!(order.len(), queued);
            let order: Vec<u8> = order.iter().map(|k| clients[*k]).collect();
            for (at, pair) in order.windows(2).enumerate() {
                if pair[0] == pair[1] {
                    prop_assert!(order[at + 1..].iter().all(|client| *client == pair[0]));
                }
            }
        }
    }
}

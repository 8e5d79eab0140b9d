//! Clusters of points by k-means, computed on all cores.

use burn::{
    Tensor,
    tensor::{Device, TensorData},
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::index};
use rayon::prelude::*;

/// Number of Lloyd's iterations.
const ITERATIONS: usize = 8;
/// Points per centroid that Lloyd's iterations run on; more changes the centroids little.
const SAMPLE_PER_CENTROID: usize = 64;
/// Points whose distances are computed at once, per product of matrices.
const CHUNK: usize = 4096;

/// Centroids of points `[n, dims]` by Lloyd's algorithm, started with points drawn at random
/// and without replacement. The same seed gives the same centroids.
///
/// Returns at most `k` centroids, `[k, dims]`; fewer if there are fewer points.
#[must_use]
pub fn centroids(points: &[f32], dims: usize, k: usize, seed: u64) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(seed);
    let count = points.len() / dims;
    let k = k.min(count);
    let sample = sample(points, dims, k * SAMPLE_PER_CENTROID, &mut rng);
    let mut centroids =
        gather(&sample, dims, index::sample(&mut rng, sample.len() / dims, k).iter());
    for _ in 0..ITERATIONS {
        let nearest = nearest(&sample, dims, &centroids);
        centroids = means(&sample, dims, &nearest, &centroids, &mut rng);
    }
    centroids
}

/// The centroid nearest to each point in Euclidean distance; ties by the lower centroid.
#[must_use]
pub fn nearest(points: &[f32], dims: usize, centroids: &[f32]) -> Vec<u32> {
    let k = centroids.len() / dims;
    let device = Device::flex();
    let matrix = TensorData::new(centroids.to_vec(), [k, dims]);
    let matrix = Tensor::<2>::from_data(matrix, &device).transpose(); // [dims, k]
    // ‖x − c‖² = ‖x‖² − 2·(x·c − ½‖c‖²): the nearest centroid has the largest x·c − ½‖c‖².
    let halves: Vec<f32> = centroids
        .chunks_exact(dims)
        .map(|centroid| 0.5 * centroid.iter().map(|value| value * value).sum::<f32>())
        .collect();
    let mut out = Vec::with_capacity(points.len() / dims);
    for chunk in points.chunks(CHUNK * dims) {
        let rows = TensorData::new(chunk.to_vec(), [chunk.len() / dims, dims]);
        let products = Tensor::<2>::from_data(rows, &device).matmul(matrix.clone()); // [chunk, k]
        let products: Vec<f32> = products.into_data().iter::<f32>().collect();
        out.par_extend(products.par_chunks_exact(k).map(|row| {
            let mut best = (0, f32::NEG_INFINITY);
            for (at, (product, half)) in row.iter().zip(&halves).enumerate() {
                let score = product - half;
                if score > best.1 {
                    best = (at as u32, score);
                }
            }
            best.0
        }));
    }
    out
}

/// The mean of the points of each centroid; a centroid without points moves to a random point.
fn means(
    points: &[f32],
    dims: usize,
    nearest: &[u32],
    centroids: &[f32],
    rng: &mut impl Rng,
) -> Vec<f32> {
    let mut sums = vec![0.0_f64; centroids.len()];
    let mut counts = vec![0_usize; centroids.len() / dims];
    for (point, &centroid) in points.chunks_exact(dims).zip(nearest) {
        counts[centroid as usize] += 1;
        let sum = &mut sums[centroid as usize * dims..][..dims];
        sum.iter_mut().zip(point).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let count = points.len() / dims;
    let mut means = Vec::with_capacity(centroids.len());
    for (sum, &members) in sums.chunks_exact(dims).zip(&counts) {
        if members == 0 {
            let point = rng.random_range(0..count);
            means.extend_from_slice(&points[point * dims..][..dims]);
        } else {
            means.extend(sum.iter().map(|sum| (sum / members as f64) as f32));
        }
    }
    means
}

/// At most `size` points, drawn without replacement.
fn sample(points: &[f32], dims: usize, size: usize, rng: &mut impl Rng) -> Vec<f32> {
    let count = points.len() / dims;
    if size >= count {
        return points.to_vec();
    }
    let mut chosen = index::sample(rng, count, size).into_vec();
    chosen.sort_unstable();
    gather(points, dims, chosen.into_iter())
}

/// The points at these positions.
#[must_use]
pub fn gather(points: &[f32], dims: usize, at: impl Iterator<Item = usize>) -> Vec<f32> {
    at.flat_map(|at| &points[at * dims..][..dims]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three groups around (0, 0), (10, 0) and (0, 10).
    fn points() -> Vec<f32> {
        (0..90)
            .flat_map(|at| {
                let (x, y) = [(0.0, 0.0), (10.0, 0.0), (0.0, 10.0)][at % 3];
                let angle = at as f32;
                [x + 0.5 * angle.sin(), y + 0.5 * angle.cos()]
            })
            .collect()
    }

    #[test]
    fn separate_groups_get_a_centroid_each() {
        // Some starts put two centroids into one group; splitting is left to the caller.
        let points = points();
        let found = (0..5).any(|seed| {
            let centroids = centroids(&points, 2, 3, seed);
            let nearest = nearest(&points, 2, &centroids);
            let group = |start: usize| {
                let mut members = nearest.iter().skip(start).step_by(3);
                let first = members.next().unwrap();
                members.all(|other| other == first).then_some(*first)
            };
            let mut groups: Vec<_> = (0..3).filter_map(group).collect();
            groups.sort_unstable();
            groups.dedup();
            groups.len() == 3
        });
        assert!(found);
    }

    #[test]
    fn the_nearest_centroid_is_that_of_the_smallest_distance() {
        let centroids = [1.0, 0.0, 5.0, 0.0, 1.0, 0.0];
        // (2, 0) is 1 from the first and the third: the lower position. (4, 9) is nearer to
        // the second: 1 + 81 against 9 + 81.
        assert_eq!(nearest(&[2.0, 0.0, 4.0, 9.0], 2, &centroids), [0, 1]);
    }

    #[test]
    fn the_same_seed_gives_the_same_centroids() {
        let points = points();
        let bits = |seed| -> Vec<u32> {
            centroids(&points, 2, 7, seed).iter().map(|value| value.to_bits()).collect()
        };
        assert_eq!(bits(3), bits(3));
        assert_eq!(centroids(&points, 2, 500, 3).len(), points.len(), "no more than points");
    }
}

use crate::{ModelError, rows::StoredRow};

/// Largest magnitude of a stored value. [`QuantisedRow`](crate::QuantisedRow) writes at most
/// 127, but a file may hold −128.
const LARGEST_VALUE: f64 = 128.0;

/// A query rounded to `i16`, with a bound of the error that this causes in a score.
#[derive(Debug)]
pub(super) struct QuantisedQuery<'a> {
    exact: &'a [f32],
    values: Vec<i16>,
    /// Size of a unit of `values`.
    step: f64,
    /// Largest error of a score for a row whose scale is 1.
    error: f64,
    /// Largest sum of magnitudes of products for a row whose scale is 1.
    magnitude: f64,
    /// Euclidean length of the query.
    length: f64,
}

impl<'a> QuantisedQuery<'a> {
    pub(super) fn new(exact: &'a [f32]) -> Result<Self, ModelError> {
        if exact.is_empty() {
            return Err(ModelError::Empty("the query of a search"));
        }
        if exact.iter().any(|value| !value.is_finite()) {
            return Err(ModelError::NotFinite { what: "query of a search".into() });
        }
        // The sum of all products must fit an i32.
        let limit = f64::from(i32::MAX) / LARGEST_VALUE / exact.len() as f64;
        let limit = limit.floor().min(f64::from(i16::MAX));
        let largest = exact.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
        let step = f64::from(largest) / limit;
        let round = |value: f32| if step > 0.0 { (f64::from(value) / step).round() } else { 0.0 };
        let values: Vec<i16> = exact.iter().map(|&value| round(value) as i16).collect();
        // The exact score is itself rounded: per term once for the dequantised value, once for
        // the product, and at every addition of the eight-fold sum (see `products::dot`).
        let roundings = (exact.len() / 8 + 16) as f64;
        let error: f64 = std::iter::zip(exact, &values)
            .map(|(&exact, &value)| {
                let exact = f64::from(exact);
                let of_sum = exact.abs() * roundings * f64::from(f32::EPSILON);
                (exact - step * f64::from(value)).abs() + of_sum
            })
            .sum();
        let magnitude = exact.iter().map(|value| f64::from(value.abs())).sum::<f64>();
        let (error, magnitude) = (error * LARGEST_VALUE, magnitude * LARGEST_VALUE);
        let length = exact.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        Ok(Self { exact, values, step, error, magnitude, length })
    }

    /// The query as it was given, `[dims]`.
    pub(super) fn exact(&self) -> &'a [f32] {
        self.exact
    }

    /// The product of the rounded query and a row before scaling.
    #[inline]
    pub(super) fn product(&self, row: StoredRow<'_>) -> i32 {
        dot(&self.values, row.quantised())
    }

    /// [`product`](Self::product) for each of four rows.
    #[inline]
    pub(super) fn products(&self, rows: &[StoredRow<'_>; 4]) -> [i32; 4] {
        dots(&self.values, rows.map(StoredRow::quantised))
    }

    /// The range in which the row's exact score lies; `None` for a scale that is not finite.
    /// `product` is that of [`product`](Self::product).
    #[inline]
    pub(super) fn bounds(&self, row: StoredRow<'_>, product: i32) -> Option<(f64, f64)> {
        let scale = f64::from(row.scale());
        if scale.abs() * self.magnitude < f64::from(f32::MAX) {
            let score = scale * (self.step * f64::from(product));
            // The smallest normal number covers exact scores so small that they round to 0.
            let error = scale.abs() * self.error + f64::from(f32::MIN_POSITIVE);
            Some((score - error, score + error))
        } else {
            // The exact score may overflow.
            scale.is_finite().then_some((f64::NEG_INFINITY, f64::INFINITY))
        }
    }

    /// The range in which the cosine of the query and the row lies; `None` for a scale that is
    /// not finite. `product` is that of [`product`](Self::product).
    #[inline]
    pub(super) fn cosine_bounds(&self, row: StoredRow<'_>, product: i32) -> Option<(f64, f64)> {
        let scale = f64::from(row.scale());
        let square = |byte: &u8| {
            let value = i64::from(byte.cast_signed());
            value * value
        };
        let lengths = self.length * (row.quantised().iter().map(square).sum::<i64>() as f64).sqrt();
        if !scale.is_finite() {
            return None;
        }
        if lengths <= 0.0 {
            return Some((0.0, 0.0));
        }
        // The cosine depends on the sign of the scale only.
        let product = scale.signum() * self.step * f64::from(product);
        let error = self.error / lengths + COSINE_ERROR;
        Some((product / lengths - error, product / lengths + error))
    }
}

/// More than the rounding error of a cosine in `f32`.
const COSINE_ERROR: f64 = 1e-5;

/// `Σ query_i·row_i`, with the bytes of `row` read as `i8`.
#[inline]
fn dot_of_rest(query: &[i16], row: &[u8]) -> i32 {
    let product = |(query, value): (&i16, &u8)| i32::from(*query) * i32::from(value.cast_signed());
    query.iter().zip(row).map(product).sum()
}

/// As [`dot_of_rest`].
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
#[inline]
fn dot(query: &[i16], row: &[u8]) -> i32 {
    let (queries, queries_rest) = query.as_chunks::<16>();
    let (values, values_rest) = row.as_chunks::<16>();
    // A sum per chunk is compiled to multiply-add instructions.
    let sums = queries.iter().zip(values).map(|(query, values)| dot_of_rest(query, values));
    sums.sum::<i32>() + dot_of_rest(queries_rest, values_rest)
}

/// [`dot`] for each row.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
#[inline]
fn dots(query: &[i16], rows: [&[u8]; 4]) -> [i32; 4] {
    rows.map(|row| dot(query, row))
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use wasm::{dot, dots};

/// Compilers do not find `i32x4.dot_i16x8_s` by themselves, hence the intrinsics.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm {
    use std::arch::wasm32::{
        i16x8, i16x8_extend_high_i8x16, i16x8_extend_low_i8x16, i32x4_add, i32x4_dot_i16x8,
        i32x4_extract_lane, i32x4_shuffle, i32x4_splat, u8x16, v128,
    };

    use super::dot_of_rest;

    /// As [`dot_of_rest`].
    #[inline]
    pub(super) fn dot(query: &[i16], row: &[u8]) -> i32 {
        let (queries, queries_rest) = query.as_chunks::<16>();
        let (values, values_rest) = row.as_chunks::<16>();
        let mut sums = i32x4_splat(0);
        for (query, values) in queries.iter().zip(values) {
            sums = i32x4_add(sums, products(query, values));
        }
        i32x4_extract_lane::<0>(sums)
            + i32x4_extract_lane::<1>(sums)
            + i32x4_extract_lane::<2>(sums)
            + i32x4_extract_lane::<3>(sums)
            + dot_of_rest(queries_rest, values_rest)
    }

    /// [`dot`] for each row; all are as long as `query`.
    #[inline]
    pub(super) fn dots(query: &[i16], rows: [&[u8]; 4]) -> [i32; 4] {
        let (queries, queries_rest) = query.as_chunks::<16>();
        // Of one length that is known here, so that the loop checks no bounds.
        let chunks = rows.map(|row| &row.as_chunks::<16>().0[..queries.len()]);
        let mut sums = [i32x4_splat(0); 4];
        for (at, query) in queries.iter().enumerate() {
            for (sum, chunks) in sums.iter_mut().zip(&chunks) {
                *sum = i32x4_add(*sum, products(query, &chunks[at]));
            }
        }
        let [a, b, c, d] = sums;
        // Lanes: the halves of a and b, of c and d; then a, b, c and d.
        let ab = i32x4_add(i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
        let cd = i32x4_add(i32x4_shuffle::<0, 4, 1, 5>(c, d), i32x4_shuffle::<2, 6, 3, 7>(c, d));
        let all =
            i32x4_add(i32x4_shuffle::<0, 1, 4, 5>(ab, cd), i32x4_shuffle::<2, 3, 6, 7>(ab, cd));
        let mut dots = [
            i32x4_extract_lane::<0>(all),
            i32x4_extract_lane::<1>(all),
            i32x4_extract_lane::<2>(all),
            i32x4_extract_lane::<3>(all),
        ];
        if !queries_rest.is_empty() {
            for (dot, row) in dots.iter_mut().zip(rows) {
                *dot += dot_of_rest(queries_rest, row.as_chunks::<16>().1);
            }
        }
        dots
    }

    /// Four sums of products of 16 values each.
    #[inline]
    fn products(q: &[i16; 16], v: &[u8; 16]) -> v128 {
        // Each becomes one load.
        let low = i16x8(q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7]);
        let high = i16x8(q[8], q[9], q[10], q[11], q[12], q[13], q[14], q[15]);
        let row = u8x16(
            v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13],
            v[14], v[15],
        );
        i32x4_add(
            i32x4_dot_i16x8(low, i16x8_extend_low_i8x16(row)),
            i32x4_dot_i16x8(high, i16x8_extend_high_i8x16(row)),
        )
    }
}

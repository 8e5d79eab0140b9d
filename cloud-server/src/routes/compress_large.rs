//! Compression of large bodies only, for routes whose answers are mostly small.

use std::io::{self, Write as _};

use actix_web::{
    Error,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::Next,
};
use flate2::{Compression, write::GzEncoder};

use super::accept_encoding::accepts;
use crate::{error::ApiError, files::blocking};

/// Largest body that is not compressed: it fits into one packet.
const SMALL: u64 = 1_024;
/// Rows in base64 have few repetitions, and shrink because four characters become three bytes.
/// Level 1, which actix uses, has no Huffman codes of its own for that; higher ones save 3 % more.
const LEVEL: u32 = 2;

/// Compresses a body above [`SMALL`] bytes with gzip, on the thread pool, for a client that accepts
/// it.
pub(super) async fn compress_large<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_accepted = accepts(request.headers(), "gzip");
    let response = next.call(request).await?.map_into_boxed_body();
    let is_large = matches!(response.response().body().size(), BodySize::Sized(it) if it > SMALL);
    if !(is_accepted && is_large) {
        return Ok(response);
    }
    let (request, response) = response.into_parts();
    let (mut response, body) = response.into_parts();
    let plain = match body.try_into_bytes() {
        Ok(plain) => plain,
        Err(body) => return Ok(ServiceResponse::new(request, response.set_body(body))),
    };
    let compressed = blocking(move || gzip(&plain)).await?.map_err(|_| ApiError::Internal)?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(compressed))))
}

fn gzip(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
    encoder.write_all(plain)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use tandem_dataset::files::sha256_hex;

    use super::*;

    #[test]
    fn base64_of_noise_shrinks_by_a_fifth() {
        let letter = |digits: &[u8]| {
            let number = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
                [usize::from(number) % 64]
        };
        let noise: Vec<u8> = (0..500_u32)
            .flat_map(|number| {
                let hash = sha256_hex(number.to_le_bytes());
                hash.as_bytes().chunks_exact(2).map(letter).collect::<Vec<u8>>()
            })
            .collect();
        let compressed = gzip(&noise).unwrap();
        assert!(compressed.len() * 10 < noise.len() * 8, "{} {}", noise.len(), compressed.len());
    }
}

//! The type and the encoding of a body, and its decompression.
//!
//!     Content-Type  application/json · text/plain       else 415
//!     Content-Encoding  none · gzip · zstd              else 415
//!     bytes as sent ─▶ plain JSON, at most so long      else 413

use std::io::Read;

use axum::http::{HeaderMap, HeaderName, header};
use flate2::read::MultiGzDecoder;

use super::body::too_large;
use crate::problem::{Code, Problem};

/// Largest window of a zstd body, as a power of two: 8 MiB, which RFC 8878 recommends that every decoder supports.
/// With a larger one, a few bytes of a sender would allocate much memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

/// The encoding of a body whose Content-Type is one of JSON.
///
/// # Errors
///
/// A problem for another Content-Type, and for a Content-Encoding other than gzip or zstd.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let content_type = text(headers, header::CONTENT_TYPE);
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    // A browser sends text/plain to avoid a preflight request. Decoding shows whether it is JSON.
    if !["application/json", "text/plain"].iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Err(Problem::new(
            Code::UnsupportedType,
            "the body is not said to be JSON",
            "send `Content-Type: application/json` (or text/plain) with a batch in JSON",
        ));
    }
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = encodings.next().map(|encoding| encoding.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    match (encoding.as_deref().unwrap_or("identity"), encodings.next()) {
        ("identity" | "", None) => Ok(Encoding::Plain),
        ("gzip" | "x-gzip", None) => Ok(Encoding::Gzip),
        ("zstd", None) => Ok(Encoding::Zstd),
        _ => Err(Problem::new(
            Code::UnsupportedEncoding,
            "the body is compressed in a way that is not known here",
            "send `Content-Encoding: gzip` or `zstd`, once, or none",
        )),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Decompresses a body into `plain`, and stops right beyond `bytes_max`.
///
/// # Errors
///
/// A problem for a body that is larger, or that is not in the encoding its header says.
pub(super) fn decompress(
    encoding: Encoding,
    sent: &[u8],
    bytes_max: usize,
    plain: &mut Vec<u8>,
) -> Result<(), Problem> {
    plain.clear();
    let within = bytes_max as u64 + 1;
    let read = match encoding {
        Encoding::Plain => {
            plain.extend_from_slice(sent);
            Ok(sent.len())
        }
        Encoding::Gzip => MultiGzDecoder::new(sent).take(within).read_to_end(plain),
        Encoding::Zstd => zstd_decoder(sent).and_then(|decoder| decoder.take(within).read_to_end(plain)),
    };
    if plain.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    match read {
        Ok(_) => Ok(()),
        Err(_) => Err(Problem::new(
            Code::MalformedBatch,
            "the body is not in the encoding that its Content-Encoding says, or ends too early",
            "compress the whole body, in one of gzip and zstd",
        )),
    }
}

fn zstd_decoder(sent: &[u8]) -> std::io::Result<zstd::stream::read::Decoder<'static, &[u8]>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(sent)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn check(content_type: &str, content_encoding: &str, expected: Result<Encoding, &str>) {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, content_type.parse().expect("a header"));
        }
        if !content_encoding.is_empty() {
            headers.insert(header::CONTENT_ENCODING, content_encoding.parse().expect("a header"));
        }
        let found = encoding(&headers).map_err(|problem| problem.code.meaning().0);
        assert_eq!(found, expected, "{content_type} {content_encoding}");
    }

    #[test]
    fn json_is_taken_plain_gzipped_or_in_zstd() {
        check("application/json", "", Ok(Encoding::Plain));
        check("Application/JSON; charset=UTF-8", "GZip", Ok(Encoding::Gzip));
        check("text/plain;charset=UTF-8", "zstd", Ok(Encoding::Zstd));
        check("", "", Err("unsupported_content_type"));
        check("application/x-www-form-urlencoded", "", Err("unsupported_content_type"));
        check("application/jsonp", "", Err("unsupported_content_type"));
        check("application/json", "br", Err("unsupported_content_encoding"));
        check("application/json", "gzip, gzip", Err("unsupported_content_encoding"));
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn a_body_is_undone_up_to_its_bound_and_not_a_byte_more() {
        let bytes = vec![b' '; 10_000];
        for (encoding, sent) in [
            (Encoding::Plain, bytes.clone()),
            (Encoding::Gzip, gzip(&bytes)),
            (Encoding::Zstd, zstd::encode_all(&bytes[..], 3).expect("memory")),
        ] {
            let mut plain = Vec::new();
            assert!(decompress(encoding, &sent, 10_000, &mut plain).is_ok(), "{encoding:?}");
            assert_eq!(plain, bytes);
            let refused = decompress(encoding, &sent, 9_999, &mut plain).expect_err("a byte too many");
            assert_eq!(refused.code, Code::BodyTooLarge);
            assert_eq!(plain.len(), 10_000, "no more than it takes to know");
        }
    }

    #[test]
    fn what_is_not_what_it_says_is_malformed() {
        let mut plain = Vec::new();
        let cut = gzip(b"{\"events\":[]}");
        for (encoding, sent) in [
            (Encoding::Gzip, &b"{}"[..]),
            (Encoding::Zstd, b"{}"),
            (Encoding::Gzip, &cut[..cut.len() - 4]),
            // A frame whose header asks for a window of 2 GiB.
            (Encoding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00]),
        ] {
            let refused = decompress(encoding, sent, 1000, &mut plain).expect_err("not what it says");
            assert_eq!(refused.code, Code::MalformedBatch);
        }
    }
}

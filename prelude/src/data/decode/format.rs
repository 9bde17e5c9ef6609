//! What a file is, by its first bytes.

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
}

impl Format {
    /// The format of the picture that begins with `bytes`.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(Self::WebP)
        } else {
            None
        }
    }
}

/// Width and height in the header of a PNG.
pub(super) fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.get(12..24)?.strip_prefix(b"IHDR")?;
    let number = |bytes: &[u8]| bytes.try_into().map(u32::from_be_bytes).ok();
    Some((number(&header[..4])?, number(&header[4..])?))
}

/// The length that a WebP file says it has.
pub(super) fn webp_len(bytes: &[u8]) -> u64 {
    let len = bytes.get(4..8).and_then(|len| len.try_into().ok());
    8 + u64::from(len.map_or(0, u32::from_le_bytes))
}

/// Endings of picture files that are not read. Files that end so are said to be left out.
pub(crate) const OTHER_EXTENSIONS: [&str; 28] = [
    "bmp", "dib", "gif", "tif", "tiff", "jfif", "jpe", "jp2", "j2k", "jxl", "avif", "heic", "heif",
    "ppm", "pgm", "pbm", "pnm", "tga", "ico", "svg", "psd", "exr", "hdr", "dng", "cr2", "nef",
    "apng", "dcm",
];

/// What is compressed into `bytes`, and the program that unpacks it.
pub(crate) fn compressed(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let known: [(&[u8], _, _); 6] = [
        (b"\x1f\x8b", "gzip", "gzip -dc"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
        (b"\xfd7zXZ\0", "xz", "xz -dc"),
        (b"BZh", "bzip2", "bzip2 -dc"),
        (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
        (b"PK\x03\x04", "zip", "unzip -p"),
    ];
    let found = known
        .into_iter()
        .find(|(magic, ..)| bytes.starts_with(magic))?;
    Some((found.1, found.2))
}

/// Why a file that begins with `bytes` is no picture that is read, with what to do about it.
pub(super) fn not_read(bytes: &[u8]) -> String {
    let convert = |format: &str| {
        format!("it is {format}, which is not read; convert it to PNG, JPEG or WebP")
    };
    let starts = |begin: &[u8]| bytes.starts_with(begin);
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]).to_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let brand = bytes.get(4..12).unwrap_or_default();
    let pictures: [(bool, &str); 15] = [
        (starts(b"GIF8"), "a GIF"),
        (starts(b"BM"), "a BMP"),
        (starts(b"II*\0") || starts(b"MM\0*"), "a TIFF"),
        (brand.starts_with(b"ftypavi"), "an AVIF"),
        (
            [b"ftyphei", b"ftyphev", b"ftypmif", b"ftypmsf"]
                .iter()
                .any(|b| brand.starts_with(*b)),
            "a HEIF (HEIC)",
        ),
        (
            brand.starts_with(b"jP  ") || starts(b"\xff\x4f\xff\x51"),
            "a JPEG 2000",
        ),
        (
            brand.starts_with(b"JXL ") || starts(b"\xff\x0a"),
            "a JPEG XL",
        ),
        (starts(b"8BPS"), "a Photoshop file"),
        (starts(b"\0\0\x01\0"), "an icon (ICO)"),
        (
            bytes.len() > 2
                && bytes[0] == b'P'
                && (b'1'..=b'7').contains(&bytes[1])
                && bytes[2].is_ascii_whitespace(),
            "a PNM (PPM, PGM, PBM)",
        ),
        (starts(b"\x76\x2f\x31\x01"), "an OpenEXR"),
        (starts(b"#?RADIANCE"), "a Radiance HDR"),
        (
            text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg")),
            "an SVG",
        ),
        (starts(b"%PDF"), "a PDF"),
        (starts(b"\x93NUMPY"), "a numpy array"),
    ];
    if let Some((_, format)) = pictures.into_iter().find(|(is, _)| *is) {
        return convert(format);
    }
    if bytes.is_empty() {
        return "it is empty; download or copy it again".to_string();
    }
    if text.starts_with("version https://git-lfs") {
        return "it is a git LFS pointer in place of the file; run `git lfs pull`".to_string();
    }
    if text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml") {
        return "it is a web page, as a failed download leaves it; download it again".to_string();
    }
    if starts(b"\0\x05\x16\x07") {
        return "it is what macOS keeps beside a file (AppleDouble)".to_string();
    }
    if bytes.iter().all(|&byte| byte == 0) {
        return "it is all zeros; download or copy it again".to_string();
    }
    if let Some((how, _)) = compressed(bytes) {
        return format!("it is compressed with {how}; unpack it");
    }
    "it is no PNG, JPEG or WebP".to_string()
}

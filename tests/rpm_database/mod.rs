//! rpm databases as rpm writes them, for tests.

/// An ndb database as rpm writes it, with a free slot after each package.
pub(crate) fn ndb(headers: &[Vec<u8>]) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).expect("small").to_le_bytes();
    let pages = (2 + 2 * headers.len()).div_ceil(256);
    let mut file = b"RpmP".to_vec();
    for field in [0, 7, pages, headers.len() + 1, 0, 0, 0] {
        file.extend(number(field));
    }
    let mut packages = Vec::new();
    for (header, index) in headers.iter().zip(1..) {
        let block = (pages * 4096 + packages.len()) / 16;
        let start = packages.len();
        packages.extend_from_slice(b"BlbS");
        for field in [index, 1_700_000_000, header.len()] {
            packages.extend(number(field));
        }
        packages.extend_from_slice(header);
        while (packages.len() + 12) % 16 != 0 {
            packages.push(0);
        }
        packages.extend(adler32(&packages[start..]).to_le_bytes());
        packages.extend(number(header.len()));
        packages.extend_from_slice(b"BlbE");
        for fields in [[index, block, (packages.len() - start) / 16], [0; 3]] {
            file.extend_from_slice(b"Slot");
            file.extend(fields.into_iter().flat_map(number));
        }
    }
    while file.len() < pages * 4096 {
        file.extend_from_slice(b"Slot\0\0\0\0\0\0\0\0\0\0\0\0");
    }
    [file, packages].concat()
}

fn adler32(bytes: &[u8]) -> u32 {
    let (first, second) = bytes.iter().fold((1_u32, 0_u32), |(first, second), byte| {
        let first = (first + u32::from(*byte)) % 65521;
        (first, (second + first) % 65521)
    });
    second << 16 | first
}

/// The tag whose value is a number.
const EPOCH: u32 = 1003;

/// A header that the database may have: these tags with texts, and a number for the epoch.
pub(crate) fn header(tags: &[(u32, &str)]) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).expect("small").to_be_bytes();
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, text) in tags {
        let epoch = text.parse::<u32>().ok().filter(|_| *tag == EPOCH);
        let kind = if epoch.is_some() { 4 } else { 6 };
        while epoch.is_some() && data.len() % 4 != 0 {
            data.push(0);
        }
        index.extend([tag.to_be_bytes(), number(kind), number(data.len()), number(1)].concat());
        match epoch {
            Some(epoch) => data.extend(epoch.to_be_bytes()),
            None => data.extend(text.bytes().chain([0])),
        }
    }
    [&number(tags.len())[..], &number(data.len()), &index, &data].concat()
}

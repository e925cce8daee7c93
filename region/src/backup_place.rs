//! Where the backups of a placement lie: an S3 bucket, as its optional keys of the cluster file say.
//!
//! It stands in the cluster file and in no argument: what may not leave a placement's regions must not leave them by a mistyped command either.
//! Two regions talk whatever each says of it, as of addresses, so a bucket changes without a stop.
//!
//! What must always hold: what is written back is read as the same; nothing in it needs escaping, in a URL or between quotes; without `backup` there is no place.

use crate::read_toml::{FileMistake, Key, Mistake, Section, is_name};
use std::fmt;

/// Bytes of a prefix: the names of objects that come behind it stay below the 1,024 that S3 allows.
const PREFIX_BYTES_MAX: usize = 256;

/// An S3 bucket and what is needed to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupPlace {
    /// The bucket's name.
    pub bucket: String,
    /// What the names of all objects begin with; empty if the bucket holds nothing else.
    pub prefix: String,
    /// Where a server other than Amazon's answers, as `https://host:port`.
    pub endpoint: Option<String>,
    /// The S3 region; that of the environment if none is named.
    pub region: Option<String>,
}

const BACKUP: Key = Key {
    name: "backup",
    form: "an S3 bucket, and a prefix if other things lie in it",
    example: "backup = \"s3://archipelago-eu/backups\"",
};
const BACKUP_ENDPOINT: Key = Key {
    name: "backup_endpoint",
    form: "where the S3 server answers, without a path",
    example: "backup_endpoint = \"https://s3.example.org\"",
};
const BACKUP_REGION: Key = Key {
    name: "backup_region",
    form: "the name of an S3 region, of lower-case letters, digits and hyphens",
    example: "backup_region = \"eu-central-1\"",
};

/// The keys that a placement's table may have of it.
pub(crate) const KEYS: [&str; 3] = [BACKUP.name, BACKUP_ENDPOINT.name, BACKUP_REGION.name];

impl BackupPlace {
    /// Reads the keys of a placement's table, if it has any.
    pub(crate) fn read(section: &Section<'_>) -> Result<Option<Self>, FileMistake> {
        let place = section.optional_text(BACKUP)?;
        let endpoint = section.optional_text(BACKUP_ENDPOINT)?;
        let region = section.optional_text(BACKUP_REGION)?;
        let Some(place) = place else {
            let of_nothing = endpoint.or(region);
            return of_nothing.map_or(Ok(None), |found| {
                let missing = Mistake::Missing { section: "[[placement]]", key: BACKUP };
                Err(FileMistake::new(found.line, missing))
            });
        };
        let (bucket, prefix) = bucket_and_prefix(place.value)
            .ok_or_else(|| FileMistake::form(place.line, BACKUP, place.value))?;
        if let Some(endpoint) = endpoint.filter(|endpoint| !is_endpoint(endpoint.value)) {
            return Err(FileMistake::form(endpoint.line, BACKUP_ENDPOINT, endpoint.value));
        }
        if let Some(region) = region.filter(|region| !is_name(region.value)) {
            return Err(FileMistake::form(region.line, BACKUP_REGION, region.value));
        }
        Ok(Some(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: endpoint.map(|endpoint| endpoint.value.to_owned()),
            region: region.map(|region| region.value.to_owned()),
        }))
    }

    /// Its lines of the cluster file.
    pub(crate) fn to_toml(&self) -> String {
        let line = |key: &str, value: &Option<String>| {
            value.as_ref().map_or_else(String::new, |value| format!("\n{key} = \"{value}\""))
        };
        format!(
            "backup = \"{self}\"{}{}",
            line(BACKUP_ENDPOINT.name, &self.endpoint),
            line(BACKUP_REGION.name, &self.region)
        )
    }
}

impl fmt::Display for BackupPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{between}{}", self.bucket, self.prefix)
    }
}

/// `s3://bucket` or `s3://bucket/a/prefix`.
fn bucket_and_prefix(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("s3://")?;
    let (bucket, prefix) = match rest.split_once('/') {
        Some((bucket, prefix)) => (bucket, Some(prefix)),
        None => (rest, None),
    };
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_bucket = (3..=63).contains(&bucket.len())
        && bucket.chars().all(|c| is_end(c) || c == '-' || c == '.')
        && bucket.starts_with(is_end)
        && bucket.ends_with(is_end);
    let is_part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c))
    };
    let is_prefix =
        prefix.is_none_or(|prefix| prefix.len() <= PREFIX_BYTES_MAX && prefix.split('/').all(is_part));
    (is_bucket && is_prefix).then(|| (bucket, prefix.unwrap_or_default()))
}

/// `https://host`, with a port or without; `http://` too, since all that is sent is sealed and signed already.
fn is_endpoint(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.'),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    is_host && is_port && text.len() <= 300
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_prefixes_and_endpoints_are_those_that_need_no_escaping() {
        for (text, expected) in [
            ("s3://bucket", Some(("bucket", ""))),
            ("s3://my.bucket-1/a/b_c.d", Some(("my.bucket-1", "a/b_c.d"))),
            ("s3://bucket/", None),
            ("s3://bucket/a//b", None),
            ("s3://bucket/../b", None),
            ("s3://bucket/a b", None),
            ("s3://bu", None),
            ("s3://Bucket", None),
            ("s3://-bucket", None),
            ("https://bucket", None),
            ("bucket/prefix", None),
        ] {
            assert_eq!(bucket_and_prefix(text), expected, "{text}");
        }
        for (text, expected) in [
            ("https://s3.example.org", true),
            ("http://127.0.0.1:9000", true),
            ("https://[::1]:9000", true),
            ("https://[::1]", true),
            ("https://", false),
            ("https://host:0", false),
            ("https://host:port", false),
            ("https://host/path", false),
            ("https://user@host", false),
            ("ftp://host", false),
            ("host:9000", false),
        ] {
            assert_eq!(is_endpoint(text), expected, "{text}");
        }
    }
}

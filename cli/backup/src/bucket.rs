//! An S3 bucket: the four requests that backups need, and what their failures mean.
//!
//! Credentials come from where every S3 tool looks for them: the environment, a profile, the machine's role. Where the bucket is does not: the cluster file says that, and an endpoint in the
//! environment is passed over, so that nothing is sent elsewhere. Checksums go along only where S3 requires them, since many servers break on the trailers; what comes back is authenticated anyway.
//!
//! | limit | value |
//! | --- | --- |
//! | tries of a request | 4, with waits that double from half a second to at most 20, each cut at random |
//! | a connection | 10 s |
//! | a try, and a wait for the first byte of an answer | 120 s and 60 s: a chunk of 8 MiB at 70 kB/s |
//! | a request with all its tries | 400 s |
//!
//! What must always hold: an answer is never read beyond what was asked for, a list never beyond its limit.

use crate::error::BackupError;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, ProvideCredentials as _, Region, RequestChecksumCalculation,
    ResponseChecksumValidation,
};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use region::backup_place::BackupPlace;
use std::error::Error;
use std::time::Duration;

/// Objects that one list may have: each costs some 60 bytes here, and a store of 16 TB has so many full chunks. Beyond it nothing is done.
const OBJECTS_MAX: usize = 2_000_000;
/// How often an object is asked for whose body breaks off.
const BODIES_MAX: usize = 3;

/// A bucket that answers.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: String,
}

impl Bucket {
    /// Finds credentials and makes ready to ask; nothing is sent to the bucket yet.
    ///
    /// # Errors
    /// When there are no credentials, or nothing says in which S3 region the bucket is.
    pub async fn open(place: &BackupPlace) -> Result<Self, BackupError> {
        let name = place.bucket.clone();
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build_https();
        let version = BehaviorVersion::v2026_01_12();
        let found = aws_config::defaults(version).http_client(http.clone()).load().await;
        let missing = |reason: String| BackupError::NoCredentials { bucket: name.clone(), reason };
        let credentials =
            found.credentials_provider().ok_or_else(|| missing("no place to look for them".to_owned()))?;
        // Asked for once here, so that their absence is told by itself and not as a request that failed.
        let asked = credentials.provide_credentials().await;
        asked.map_err(|error| missing(innermost(&error)))?;
        let region = match (&place.region, found.region(), &place.endpoint) {
            (Some(region), _, _) => Region::new(region.clone()),
            (None, Some(region), _) => region.clone(),
            // Servers other than Amazon's take any, and this one by habit.
            (None, None, Some(_)) => Region::from_static("us-east-1"),
            (None, None, None) => return Err(BackupError::NoRegion(name)),
        };
        let retries = RetryConfig::standard()
            .with_max_attempts(4)
            .with_initial_backoff(Duration::from_millis(500))
            .with_max_backoff(Duration::from_secs(20));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .operation_attempt_timeout(Duration::from_secs(120))
            .operation_timeout(Duration::from_secs(400))
            .build();
        let mut config = Config::builder()
            .behavior_version(version)
            .http_client(http)
            .credentials_provider(credentials)
            .region(region)
            .retry_config(retries)
            .timeout_config(timeouts)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(endpoint) = &place.endpoint {
            // Such servers seldom have a name in the DNS for each bucket.
            config = config.endpoint_url(endpoint).force_path_style(true);
        }
        Ok(Self { client: Client::from_conf(config.build()), name })
    }

    /// Every object whose name begins so: the rest of its name, and its size.
    pub(crate) async fn list(
        &self,
        begins: &str,
        each: &mut (dyn FnMut(&str, u64) + Send),
    ) -> Result<(), BackupError> {
        let (mut next, mut seen) = (None, 0);
        loop {
            let request = self.client.list_objects_v2().bucket(&self.name).prefix(begins);
            let page = request.set_continuation_token(next).send().await;
            let page = page.map_err(|error| self.failed(begins, "listed", &error))?;
            seen += page.contents().len();
            if seen > OBJECTS_MAX {
                return Err(BackupError::TooMany { object: self.url(begins), most: OBJECTS_MAX });
            }
            for object in page.contents() {
                let rest = object.key().and_then(|key| key.strip_prefix(begins));
                let bytes = object.size().and_then(|bytes| u64::try_from(bytes).ok());
                if let (Some(rest), Some(bytes)) = (rest, bytes) {
                    each(rest, bytes);
                }
            }
            next = page.next_continuation_token().map(str::to_owned);
            if next.is_none() || page.is_truncated() != Some(true) {
                return Ok(());
            }
        }
    }

    /// What an object holds; none if there is no such object. One that is longer than that is cut off there.
    pub(crate) async fn get(&self, object: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, BackupError> {
        let mut tries = 1;
        loop {
            let answer = self.client.get_object().bucket(&self.name).key(object).send().await;
            let mut answer = match answer {
                Ok(answer) => answer,
                Err(SdkError::ServiceError(error)) if error.err().is_no_such_key() => return Ok(None),
                Err(error) => return Err(self.failed(object, "read", &error)),
            };
            let mut bytes = Vec::new();
            let broken = loop {
                match answer.body.next().await {
                    None => return Ok(Some(bytes)),
                    Some(Ok(piece)) => {
                        let room = bytes_max - bytes.len();
                        bytes.extend_from_slice(piece.get(..room).unwrap_or(&piece));
                        if piece.len() > room {
                            return Ok(Some(bytes));
                        }
                    }
                    Some(Err(error)) => break error,
                }
            };
            // The client tries a request again, and leaves a body that broke off to its caller.
            if tries == BODIES_MAX {
                let reason = innermost(&broken);
                return Err(BackupError::Failed { object: self.url(object), verb: "read", reason });
            }
            tries += 1;
        }
    }

    /// Writes an object, over one of that name.
    pub(crate) async fn put(&self, object: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        let body = Bytes::from(bytes).into();
        let answer = self.client.put_object().bucket(&self.name).key(object).body(body).send().await;
        answer.map(drop).map_err(|error| self.failed(object, "written", &error))
    }

    /// Removes an object; one that is gone is as well.
    pub(crate) async fn remove(&self, object: &str) -> Result<(), BackupError> {
        let answer = self.client.delete_object().bucket(&self.name).key(object).send().await;
        answer.map(drop).map_err(|error| self.failed(object, "removed", &error))
    }

    /// What people call an object.
    pub(crate) fn url(&self, object: &str) -> String {
        format!("s3://{}/{object}", self.name)
    }

    fn failed<E>(&self, object: &str, verb: &'static str, error: &SdkError<E>) -> BackupError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let object = self.url(object);
        match error {
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                let code = service.err().code().unwrap_or_default();
                match (code, status) {
                    ("NoSuchBucket", _) => BackupError::NoBucket(self.name.clone()),
                    (code, 401 | 403) => {
                        let code =
                            if code.is_empty() { format!("HTTP status {status}") } else { code.to_owned() };
                        BackupError::Refused { object, verb, code }
                    }
                    (code, status) => {
                        let said = service.err().message().unwrap_or_default();
                        let reason = format!("the server answers {code} (HTTP status {status}) {said}");
                        BackupError::Failed { object, verb, reason: reason.trim_end().to_owned() }
                    }
                }
            }
            SdkError::TimeoutError(_) => BackupError::TimedOut { object, verb },
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                BackupError::TimedOut { object, verb }
            }
            error => BackupError::Failed { object, verb, reason: innermost(error) },
        }
    }
}

/// What an error has at its bottom, which is what a person can do something about.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let said = inner.to_string();
    if said.is_empty() { DisplayErrorContext(error).to_string() } else { said }
}

//! Checking tokens: EdDSA JWTs under the cluster's token key, for this cluster, not expired by the region's clock.
//!
//! A device's token has `sub` (a user id) and `device` (a device id); that of who runs the cluster has its role as the subject, and a `name` for the record. What must always
//! hold: no other algorithm is taken, whatever the header says; a token that lacks `exp`, `aud` or `sub` is none.

use crdt::Now;
use gateway::error::TokenRefused;
use gateway::input::Identity;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

/// Knows the cluster's key.
pub(crate) struct TokenChecker {
    key: DecodingKey,
    validation: Validation,
}

/// What those who run the cluster may do, each also what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// See how regions stand. Its subject is `viewer`, which a release that does not know it refuses.
    Viewer,
    /// Change something, and be given what people wrote. Its subject is `operator`.
    Operator,
}

/// Characters of the name under which somebody's acts are recorded.
const NAME_MAX: usize = 64;

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    device: String,
    #[serde(default)]
    name: String,
    exp: u64,
}

impl TokenChecker {
    /// Takes tokens of that cluster, signed by that Ed25519 key.
    pub(crate) fn new(cluster: &str, key: &[u8; 32]) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[cluster]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // The region's own clock judges, below: the system's may jump.
        validation.validate_exp = false;
        Self { key: DecodingKey::from_ed_der(key), validation }
    }

    /// Who may sign in with that token.
    ///
    /// # Errors
    /// [`TokenRefused`] says what is wrong with it.
    pub(crate) fn device(&self, token: &str, now: Now) -> Result<Identity, TokenRefused> {
        let (claims, expires) = self.claims(token, now)?;
        let user = claims.sub.parse().map_err(|_| TokenRefused::Invalid("`sub` is not a user id"))?;
        let device =
            claims.device.parse().map_err(|_| TokenRefused::Invalid("`device` is not a device id"))?;
        Ok(Identity { user, device, expires })
    }

    /// Which role that token gives, and whom.
    ///
    /// # Errors
    /// [`TokenRefused`] says what is wrong with it.
    pub(crate) fn operator(&self, token: &str, now: Now) -> Result<(Role, String), TokenRefused> {
        let (claims, _) = self.claims(token, now)?;
        let role = match claims.sub.as_str() {
            "operator" => Role::Operator,
            "viewer" => Role::Viewer,
            _ => return Err(TokenRefused::Invalid("not an operator's")),
        };
        Ok((role, claims.name.chars().take(NAME_MAX).collect()))
    }

    fn claims(&self, token: &str, now: Now) -> Result<(Claims, Now), TokenRefused> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation);
        let claims = decoded.map_err(|error| refused(error.kind()))?.claims;
        let expires = Now(claims.exp.saturating_mul(1_000_000));
        if expires <= now { Err(TokenRefused::Expired) } else { Ok((claims, expires)) }
    }
}

/// Every other kind of error means that the text is not a token as ours are made.
fn refused(kind: &ErrorKind) -> TokenRefused {
    if matches!(kind, ErrorKind::InvalidAudience) {
        TokenRefused::WrongCluster
    } else if matches!(kind, ErrorKind::InvalidSignature) {
        TokenRefused::Invalid("its signature is not this cluster's")
    } else if matches!(kind, ErrorKind::MissingRequiredClaim(_)) {
        TokenRefused::Invalid("it lacks `exp`, `aud` or `sub`")
    } else if matches!(kind, ErrorKind::InvalidAlgorithm) {
        TokenRefused::Invalid("it must be signed with EdDSA")
    } else {
        TokenRefused::Invalid("it is not a JSON Web Token as this cluster makes them")
    }
}

impl std::fmt::Debug for TokenChecker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenChecker")
    }
}

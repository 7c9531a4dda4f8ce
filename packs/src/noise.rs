//! Noise and its privacy cost: OpenDP's discrete Gaussian under zero-concentrated differential privacy.
//!
//! The sampler is exact over whole numbers (Canonne, Kamath and Steinke 2020, arXiv:2004.00010) and draws from the
//! system's secure generator. There is no seed: the noise of a release is drawn once, and the release is stored.

use std::sync::{Mutex, MutexGuard, PoisonError};

use netcrab_schema::WhoActs;
use opendp::core::Measurement;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_gaussian;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::L2Distance;

/// OpenDP drew no noise, or did not compute a cost.
#[derive(Debug, thiserror::Error)]
#[error("noise could not be drawn: {0}; nothing was released, build again")]
pub struct Error(String);

impl Error {
    /// Who must act before noise can be drawn: the system's generator may fail once and work the next time.
    pub fn who_acts(&self) -> WhoActs {
        WhoActs::Retry
    }
}

impl From<opendp::error::Error> for Error {
    fn from(error: opendp::error::Error) -> Self {
        Self(error.to_string())
    }
}

/// Adds noise to answers.
pub trait Noise {
    /// The answers, each with Gaussian noise of scale `sigma`.
    ///
    /// # Errors
    ///
    /// [`Error`] when no noise could be drawn.
    fn add(&mut self, answers: &[i64], sigma: f64) -> Result<Vec<i64>, Error>;
}

/// OpenDP's noise, the only one that releases are made with.
#[derive(Debug, Default)]
pub struct OpenDp;

/// OpenDP replaces the process's panic hook while it computes, and puts it back. Two threads at once could put back the
/// replacement, and panics would be silent from then on. So one thread computes at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

type Gaussian = Measurement<VectorDomain<AtomDomain<i64>>, L2Distance<f64>, ZeroConcentratedDivergence, Vec<i64>>;

fn gaussian(sigma: f64) -> Result<Gaussian, Error> {
    let domain = VectorDomain::new(AtomDomain::<i64>::default());
    Ok(make_gaussian(domain, L2Distance::<f64>::default(), sigma, None)?)
}

impl Noise for OpenDp {
    fn add(&mut self, answers: &[i64], sigma: f64) -> Result<Vec<i64>, Error> {
        let _alone = alone();
        Ok(gaussian(sigma)?.invoke(&answers.to_vec())?)
    }
}

/// The ρ that noise of scale `sigma` costs for a query of this sensitivity, as OpenDP computes it.
///
/// # Errors
///
/// [`Error`] when OpenDP refuses the scale or the sensitivity.
pub fn cost(sensitivity: f64, sigma: f64) -> Result<f64, Error> {
    let _alone = alone();
    Ok(gaussian(sigma)?.map(&sensitivity)?)
}

/// The greatest ρ that implies (ε, δ)-differential privacy.
///
/// # Errors
///
/// [`Error`] when OpenDP does not convert a ρ at this δ.
pub fn rho(epsilon: f64, delta: f64) -> Result<f64, Error> {
    let (mut low, mut high) = (0.0, epsilon);
    // Fifty halvings determine every digit of an f64 that matters.
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if self::epsilon(middle, delta)? <= epsilon {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The ε that ρ implies at δ, by OpenDP's conversion (Bun and Steinke 2016; Canonne, Kamath and Steinke 2020).
///
/// # Errors
///
/// [`Error`] when OpenDP does not convert this ρ at this δ.
pub fn epsilon(rho: f64, delta: f64) -> Result<f64, Error> {
    if rho <= 0.0 {
        return Ok(0.0);
    }
    let _alone = alone();
    // With noise of scale 1, a query of sensitivity √(2ρ) costs ρ.
    let measured = opendp::combinators::make_zCDP_to_approxDP(gaussian(1.0)?)?;
    Ok(measured.map(&(2.0 * rho).sqrt())?.epsilon(delta)?)
}

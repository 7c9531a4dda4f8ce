//! Noise, and what it costs: OpenDP's discrete Gaussian under zero-concentrated differential privacy.
//!
//! The sampler is exact (Canonne, Kamath and Steinke 2020, arXiv:2004.00010), over whole numbers, and draws from the
//! system's secure generator. There is no seed: a release is drawn once, stored, and read from there.

use std::sync::{Mutex, MutexGuard, PoisonError};

use opendp::core::Measurement;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_gaussian;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::L2Distance;

/// Why no noise could be had.
#[derive(Debug, thiserror::Error)]
#[error("noise could not be drawn: {0}; nothing was released, build again")]
pub struct Error(String);

impl From<opendp::error::Error> for Error {
    fn from(error: opendp::error::Error) -> Self {
        Self(error.to_string())
    }
}

/// Adds noise to answers.
pub trait Noise {
    /// The answers with Gaussian noise of scale `sigma` on each.
    fn add(&mut self, answers: &[i64], sigma: f64) -> Result<Vec<i64>, Error>;
}

/// OpenDP's noise, the only one that is used for what leaves.
#[derive(Debug, Default)]
pub struct OpenDp;

/// OpenDP reckons with the process's panic hook set aside; two threads at once would leave it so for good.
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

/// What noise of this scale costs a query of this sensitivity, as OpenDP reckons it.
pub fn cost(sensitivity: f64, sigma: f64) -> Result<f64, Error> {
    let _alone = alone();
    Ok(gaussian(sigma)?.map(&sensitivity)?)
}

/// The greatest ρ that keeps (ε, δ).
pub fn rho(epsilon: f64, delta: f64) -> Result<f64, Error> {
    let (mut low, mut high) = (0.0, epsilon);
    // Fifty halvings leave no digit in doubt.
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

/// The ε that ρ keeps at δ.
pub fn epsilon(rho: f64, delta: f64) -> Result<f64, Error> {
    if rho <= 0.0 {
        return Ok(0.0);
    }
    let _alone = alone();
    // Noise of scale 1 on a query of this sensitivity costs ρ.
    let measured = opendp::combinators::make_zCDP_to_approxDP(gaussian(1.0)?)?;
    Ok(measured.map(&(2.0 * rho).sqrt())?.epsilon(delta)?)
}

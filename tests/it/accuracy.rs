//! Percentiles beside exact ones, of observations of every shape that times and sizes have.
//!
//! `PERCENTILE_OBSERVATIONS=10000000` makes it long, and `PERCENTILE_LOG=FILE` adds real observations: whole numbers, one a line.

use std::{env, fs, iter};

use fastrand::Rng;
use scale_metrics::rollup::Distribution;

/// Observations of a shape, in microseconds or bytes.
type Shape = (&'static str, fn(&mut Rng) -> u64);

const SHAPES: [Shape; 5] = [
    ("constant", |_| 3_600_000_000),
    ("uniform", |rng| rng.u64(0..100_000_000_000)),
    ("log-normal", |rng| rounded((normal(rng) * 2.0 + 18.0).exp())),
    ("bimodal", |rng| {
        let (middle, width) = if rng.u8(..10) < 7 { (60e6, 5e6) } else { (7_200e6, 600e6) };
        rounded(normal(rng) * width + middle)
    }),
    ("powers of ten", |rng| 10_u64.pow(rng.u32(0..19))),
];

/// A number of the standard normal distribution, by Box and Muller.
fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}

/// A number without its fraction; 0 for a negative one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "too large ones become the largest")]
fn rounded(number: f64) -> u64 {
    number as u64
}

/// Asserts that every percentile lies within 1 % of the observation at its rank.
fn assert_accurate(shape: &str, mut observations: Vec<u64>) {
    let mut distribution = Distribution::default();
    for &observation in &observations {
        distribution.observe(observation);
    }
    observations.sort_unstable();
    for percent in 1..=99_u8 {
        let rank = (observations.len() * usize::from(percent)).div_ceil(100);
        let exact = observations[rank - 1];
        let found = distribution.percentile(percent).unwrap();
        let distance = u128::from(found.abs_diff(exact));
        assert!(100 * distance <= u128::from(exact), "p{percent} of {shape}: {found} for {exact}");
    }
    assert_eq!(
        (distribution.min, distribution.max),
        (observations[0], observations[observations.len() - 1]),
        "{shape}"
    );
}

#[test]
fn percentiles_of_every_shape_are_within_one_percent() {
    let count = env::var("PERCENTILE_OBSERVATIONS").map_or(20_000, |count| count.parse().unwrap());
    let mut rng = Rng::with_seed(7);
    for (shape, observe) in SHAPES {
        for count in [1, 2, 3, 7, 100, count] {
            assert_accurate(shape, iter::repeat_with(|| observe(&mut rng)).take(count).collect());
        }
    }
    if let Ok(file) = env::var("PERCENTILE_LOG") {
        let lines = fs::read_to_string(file).unwrap();
        let real: Vec<u64> = lines.lines().map(|line| line.parse().unwrap()).collect();
        let repeated = real.iter().copied().cycle().take(count.max(real.len()));
        assert_accurate("real", repeated.collect());
    }
}

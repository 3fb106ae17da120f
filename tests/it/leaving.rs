//! The ways out.

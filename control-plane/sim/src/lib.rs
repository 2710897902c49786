//! A seeded simulator that drives the cores of both planes.

//! The control plane's decisions: pure state, planning and key codecs.

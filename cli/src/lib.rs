//! ferry: the admin CLI, standalone mode and the development server.

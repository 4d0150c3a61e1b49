"""The doors to the world, each built twice: in memory under virtual time, and over real sockets."""

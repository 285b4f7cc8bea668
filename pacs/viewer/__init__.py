"""The viewer: OHIF as its makers built it, installed beside our data and served from our own origin."""

/* The viewer's configuration, made from our settings. It runs before the viewer does. */
window.config = $CONFIG;


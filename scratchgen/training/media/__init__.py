"""What training knows of images, text and sound: how they are loaded, fed, measured and drawn."""

"""What is changed about training images at random, each image on its own."""

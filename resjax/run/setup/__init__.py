"""What a comparison needs before it trains: images and splits, the device, costs of the networks, initial weights."""

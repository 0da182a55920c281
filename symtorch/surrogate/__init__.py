"""What stands in a block's place: equations behind the block's own call, and what is known of them."""

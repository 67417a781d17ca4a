"""How many recurrent steps each tile takes, and what comes of that besides probabilities."""

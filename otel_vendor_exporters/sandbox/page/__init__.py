"""
The sandbox's page: what a person sees of what arrived.

    sections ─▶ panels ─▶ board ─▶ routes ─▶ page.html and its scripts, in the browser

`routes` answers the browser, `board` keeps what it shows, `panels` says which sections each vendor has.
"""

class Drawing: pass

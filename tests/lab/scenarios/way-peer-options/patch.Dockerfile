# syntax=suture:lab
